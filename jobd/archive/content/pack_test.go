package content_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
)

func TestWhatIsPackedComesBackToTheByteAndIsSmaller(t *testing.T) {
	for name, body := range map[string][]byte{
		"a short state run": archivetest.StateBody("web1", 3, 1, 1),
		"a state run":       archivetest.StateBody("web1", 20, 1, 1),
		"much of one thing": bytes.Repeat([]byte{'a'}, 5<<20),
		"zero bytes":        make([]byte, 1000),
	} {
		for how, pack := range map[string]func([]byte) []byte{"a part": content.Pack, "what is the same": content.PackSame} {
			packed := pack(body)
			if len(packed) == 0 || len(packed) > len(body)/2 {
				t.Errorf("%s as %s: %d of %d bytes", name, how, len(packed), len(body))
			}
			if again, err := content.Unpack(packed); err != nil || !bytes.Equal(again, body) {
				t.Errorf("%s as %s does not come back (%v)", name, how, err)
			}
		}
	}
}

func TestWhatDoesNotGetSmallerIsNotPacked(t *testing.T) {
	noise := make([]byte, 10_000)
	_, _ = rand.Read(noise)
	for name, body := range map[string][]byte{"nothing": nil, "a word": []byte("true"), "a short text": []byte(strings.Repeat("a", 100)), "noise": noise} {
		if packed := content.Pack(body); packed != nil {
			t.Errorf("%s is packed into %d bytes", name, len(packed))
		}
		if packed := content.PackSame(body); packed != nil {
			t.Errorf("%s is packed quickly into %d bytes", name, len(packed))
		}
	}
	if _, err := content.Unpack(noise); err == nil {
		t.Error("noise unpacks")
	}
}

func BenchmarkPack(b *testing.B) {
	body := archivetest.StateBody("web1", 3, 1, 1)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		_ = content.PackSame(body)
	}
}
