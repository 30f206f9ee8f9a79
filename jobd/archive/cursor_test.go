package archive_test

import (
	"encoding/base64"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func TestACursorLeadsBackToItsPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := archive.Cursor{
			Numbers: rapid.SliceOfN(rapid.Int64(), 2, 2).Draw(t, "numbers"),
			Texts:   rapid.SliceOfN(rapid.StringN(0, 100, 300), 1, 1).Draw(t, "texts"),
		}
		got, limit, err := archive.ParsePage(gaea.PageRequest{Cursor: want.Encode("jobs"), Limit: 7}, "jobs", 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		if limit != 7 || !slices.Equal(got.Numbers, want.Numbers) || !slices.Equal(got.Texts, want.Texts) {
			t.Fatalf("came back as %+v with limit %d, was %+v", got, limit, want)
		}
	})
}

func TestTheFirstPageHasNoPlace(t *testing.T) {
	for asked, want := range map[int]int{0: archive.DefaultLimit, 1: 1, archive.MaxLimit: archive.MaxLimit} {
		place, limit, err := archive.ParsePage(gaea.PageRequest{Limit: asked}, "jobs", 2, 0)
		if place != nil || limit != want || err != nil {
			t.Errorf("a page of %d is %d items from %v (%v)", asked, limit, place, err)
		}
	}
}

func TestWhatIsNoCursorNamesTheField(t *testing.T) {
	good := archive.Cursor{Numbers: []int64{1, 2}}.Encode("jobs")
	wire := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, row := range []struct{ name, cursor, list string }{
		{"another list's", good, "runs"},
		{"cut short", good[:len(good)-3], "jobs"},
		{"no base64", "*" + good, "jobs"},
		{"of another version", wire(`{"v":2,"l":"jobs","n":[1,2]}`), "jobs"},
		{"with other keys", wire(`{"v":1,"l":"jobs","n":[1]}`), "jobs"},
		{"with unknown parts", wire(`{"v":1,"l":"jobs","n":[1,2],"x":1}`), "jobs"},
		{"with something behind it", wire(`{"v":1,"l":"jobs","n":[1,2]}{}`), "jobs"},
		{"far too long", wire(`{"v":1,"l":"jobs","n":[1,2]}` + string(make([]byte, 1<<20))), "jobs"},
	} {
		_, _, err := archive.ParsePage(gaea.PageRequest{Cursor: row.cursor}, row.list, 2, 0)
		checkField(t, row.name, err, "cursor")
	}
	for _, limit := range []int{-1, archive.MaxLimit + 1} {
		_, _, err := archive.ParsePage(gaea.PageRequest{Limit: limit}, "jobs", 2, 0)
		checkField(t, "limit", err, "limit")
	}
}

func FuzzParsePage(f *testing.F) {
	f.Add(archive.Cursor{Numbers: []int64{1, -2}, Texts: []string{"a"}}.Encode("jobs"))
	f.Add("eyJ2IjoxfQ")
	f.Fuzz(func(t *testing.T, cursor string) {
		place, _, err := archive.ParsePage(gaea.PageRequest{Cursor: cursor}, "jobs", 2, 1)
		switch {
		case err != nil:
			checkField(t, cursor, err, "cursor")
		case place != nil && (len(place.Numbers) != 2 || len(place.Texts) != 1):
			t.Errorf("%q has %d numbers and %d texts", cursor, len(place.Numbers), len(place.Texts))
		case place == nil && cursor != "":
			t.Errorf("%q leads nowhere", cursor)
		}
	})
}
