package archive_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func checkField(t *testing.T, what string, err error, field string) {
	t.Helper()
	told, ok := errors.AsType[*gaea.Error](err)
	if !ok || told.Code != gaea.CodeInvalid || told.Field != field {
		t.Errorf("%s: the error is %v, want an invalid %q", what, err, field)
	}
}

func openKey(tb testing.TB, path string) *archive.KeyFile {
	tb.Helper()
	k, err := archive.OpenKeyFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestWhatIsSealedOpensWithTheSameKeyOnly(t *testing.T) {
	dir := t.TempDir()
	key, other := openKey(t, dir+"/key"), openKey(t, dir+"/other")
	again := openKey(t, dir+"/key")
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := key.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Open(sealed); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened as %q (%v), was %q", got, err, plain)
		}
		if twice, err := key.Seal(plain); err != nil || bytes.Equal(twice, sealed) {
			t.Fatalf("sealing twice gives the same bytes (%v)", err)
		}
		broken := bytes.Clone(sealed)
		broken[rapid.IntRange(0, len(broken)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		for what, open := range map[string]func() ([]byte, error){
			"another key": func() ([]byte, error) { return other.Open(sealed) },
			"altered":     func() ([]byte, error) { return key.Open(broken) },
			"cut":         func() ([]byte, error) { return key.Open(sealed[:len(sealed)-1]) },
			"nothing":     func() ([]byte, error) { return key.Open(nil) },
		} {
			if got, err := open(); gaea.CodeOf(err) != gaea.CodeUnavailable {
				t.Fatalf("%s: opened as %q (%v)", what, got, err)
			}
		}
	})
}

func TestTheMessageNamesTheKeyFile(t *testing.T) {
	key := openKey(t, t.TempDir()+"/key")
	_, err := key.Open([]byte("x"))
	if !strings.Contains(gaea.MessageOf(err), key.Path()) {
		t.Errorf("the message does not name %s: %s", key.Path(), gaea.MessageOf(err))
	}
}

func TestDigestsAreEqualForEqualPartsAndKeysOnly(t *testing.T) {
	dir := t.TempDir()
	key, other := openKey(t, dir+"/key"), openKey(t, dir+"/other")
	want := key.Digest([]byte("a"), []byte("bc"))
	if got := openKey(t, dir+"/key").Digest([]byte("a"), []byte("bc")); got != want || len(got) != 64 {
		t.Errorf("the digest is %q, then %q", want, got)
	}
	for _, got := range []string{
		key.Digest([]byte("ab"), []byte("c")), key.Digest([]byte("abc")), key.Digest(), key.Digest([]byte("a"), []byte("bc"), nil),
		other.Digest([]byte("a"), []byte("bc")),
	} {
		if got == want {
			t.Error("different parts or keys have the same digest")
		}
	}
}

func TestAKeyFileIsMadeOnceForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	digests := make([]string, 8)
	var wait sync.WaitGroup
	for i := range digests {
		wait.Go(func() {
			if k, err := archive.OpenKeyFile(path); err != nil {
				t.Error(err)
			} else {
				digests[i] = k.Digest()
			}
		})
	}
	wait.Wait()
	for _, d := range digests {
		if d != digests[0] {
			t.Fatal("two that made the key at once have different ones")
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != archive.KeySize {
		t.Errorf("the key file has mode %v and %d bytes", info.Mode(), info.Size())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the key file is left %v (%v)", left, err)
	}
}

func TestAKeyFileThatWillNotDoSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	for _, row := range []struct{ name, path, says string }{
		{"readable by others", write("open", archive.KeySize, 0o640), "chmod 600"},
		{"too short", write("short", archive.KeySize-1, 0o600), "31 bytes"},
		{"in no directory", filepath.Join(dir, "none", "key"), "directory"},
		{"a directory", dir, "chmod 600"},
	} {
		_, err := archive.OpenKeyFile(row.path)
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), row.path) || !strings.Contains(gaea.MessageOf(err), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
