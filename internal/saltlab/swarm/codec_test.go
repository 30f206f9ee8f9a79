package swarm_test

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"io"
	"math"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func box(t testing.TB, key string) *swarm.Box {
	t.Helper()
	b, err := swarm.ParseBox([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsSealedOpensUnderTheSameKeyAndNoOther(t *testing.T) {
	key, other := box(t, newKey()), box(t, newKey())
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plain")
		nonce := rapid.SampledFrom([]string{"", "0123456789abcdef0123456789abcdef"}).Draw(t, "nonce")
		sealed, err := key.Seal(nonce, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Open(nonce, bytes.Clone(sealed)); !errors.Is(err, swarm.ErrNotAuthentic) {
			t.Fatalf("another key opens it: %v", err)
		}
		if got, err := key.Open(nonce, bytes.Clone(sealed)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("it opens to %q, %v", got, err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "at")] ^= 1
		if _, err := key.Open(nonce, sealed); !errors.Is(err, swarm.ErrNotAuthentic) {
			t.Fatalf("it opens although it was changed: %v", err)
		}
	})
	if _, err := swarm.ParseBox([]byte("c2hvcnQ=")); err == nil {
		t.Error("a short key is taken")
	}
}

func TestAnAnswerToAnotherRequestDoesNotOpen(t *testing.T) {
	key := box(t, newKey())
	sealed, err := key.Seal("0123456789abcdef0123456789abcdef", []byte{0xc0})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Open("f123456789abcdef0123456789abcdef", sealed); err == nil || errors.Is(err, swarm.ErrNotAuthentic) {
		t.Errorf("the error is %v", err)
	}
}

func TestATokenProvesItsKey(t *testing.T) {
	mine, other := masterKey(), stranger()
	if !ownsKey(&mine.PublicKey, swarm.Token(mine)) || ownsKey(&other.PublicKey, swarm.Token(mine)) {
		t.Error("it does not prove the key, or proves another")
	}
	if !bytes.Equal(swarm.Token(mine), swarm.Token(mine)) {
		t.Error("it changes")
	}
}

func TestWhatIsPackedIsUnpackedAgain(t *testing.T) {
	values := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64Range(math.MaxInt64+1, math.MaxUint64).AsAny(),
		rapid.Float64().AsAny(), rapid.String().AsAny(),
	)
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(values).Draw(t, "list")
		value := map[string]any{"list": append([]any{}, list...), "map": map[string]any{rapid.String().Draw(t, "key"): "v"}}
		packed, err := swarm.Pack(value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := swarm.Unpack(packed); err != nil || !reflect.DeepEqual(got, value) {
			t.Fatalf("%v becomes %v, %v", value, got, err)
		}
	})
}

func TestHostileMsgpackIsRefusedAndTakesNoMemory(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":          {},
		"a list of 2^32":   {0xdd, 0xff, 0xff, 0xff, 0xff},
		"a map of 2^32":    {0xdf, 0xff, 0xff, 0xff, 0xff},
		"a text of 2^32":   {0xdb, 0xff, 0xff, 0xff, 0xff},
		"an unused byte":   {0xc1},
		"too deep":         bytes.Repeat([]byte{0x91}, 1000),
		"something behind": {0xc0, 0xc0},
		"too many values":  append([]byte{0xdd, 0x00, 0x10, 0x00, 0x00}, bytes.Repeat([]byte{0xc0}, 1<<20)...),
	} {
		if _, err := swarm.Unpack(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// pipe hands bytes to a link and throws away what it says.
func pipe(t testing.TB, b []byte) (messages int, err error) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			_, _ = io.Copy(io.Discard, far)
		}()
		_ = far.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = far.Write(b) // the link may end before it has all
		far.Close()
		<-drained
	}()
	messages, err = swarm.ReadFrames(near)
	near.Close()
	<-done
	return messages, err
}

func opening() []byte {
	hello := make([]byte, 64)
	hello[0], hello[9], hello[10] = 0xff, 0x7f, 3
	copy(hello[12:], "NULL")
	return slices.Concat(hello, []byte("\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"))
}

func TestALinkReadsMessagesAndNoMoreThanItMay(t *testing.T) {
	if n, err := pipe(t, append(opening(), "\x00\x02hi\x01\x01a\x00\x01b\x04\x05\x04PING"...)); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("it read %d messages, %v", n, err)
	}
	for name, b := range map[string]string{
		"a huge frame":   "\x02\x7f\xff\xff\xff\xff\xff\xff\xff",
		"many frames":    "\x01\x01a\x01\x01a\x01\x01a\x01\x01a\x01\x01a",
		"a huge command": "\x06\x00\x00\x00\x00\x00\x01\x00\x00",
		"unknown flags":  "\x80\x01a",
		"half a frame":   "\x00\x05abc",
	} {
		if _, err := pipe(t, append(opening(), b...)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s ends with %v", name, err)
		}
	}
	if _, err := pipe(t, bytes.Replace(opening(), []byte("PUB"), []byte("SUB"), 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a peer of the wrong type ends with %v", err)
	}
}

func FuzzLink(f *testing.F) {
	f.Add([]byte("\x00\x02hi"))
	f.Add([]byte("\x01\x01a\x00\x01b"))
	f.Add([]byte("\x04\x0a\x04PING\x00\x01ctx"))
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := pipe(t, append(opening(), b...)); err == nil {
			t.Error("it goes on behind the end")
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte{0x81, 0xa1, 'a', 0x93, 0x01, 0xc3, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xc7, 0x02, 0x4e, 'a', 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := swarm.Unpack(b)
		if err != nil {
			return
		}
		packed, err := swarm.Pack(v)
		if err != nil {
			t.Fatalf("%v cannot be packed: %v", v, err)
		}
		if _, err := swarm.Unpack(packed); err != nil {
			t.Fatalf("%v does not come back: %v", v, err)
		}
	})
}

func FuzzPublication(f *testing.F) {
	told, err := swarm.Pack(map[string]any{"jid": "1", "fun": "test.ping", "arg": []any{1}, "tgt": "*", "tgt_type": "glob", "serial": 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("broadcast"), told)
	f.Add([]byte{}, []byte{0x80})
	shared, master := box(f, newKey()), &rsa.PublicKey{N: masterKey().N, E: masterKey().E}
	f.Fuzz(func(t *testing.T, topic, b []byte) {
		_ = swarm.ReadTold(b)
		if _, _, err := swarm.ReadPublication([][]byte{topic, b}, master, shared); err == nil {
			t.Error("what nobody signed is taken")
		}
	})
}

func FuzzAnswer(f *testing.F) {
	key, session := masterKey(), box(f, newKey())
	const nonce = "0123456789abcdef0123456789abcdef"
	sealed, err := session.Seal(nonce, []byte{0xc0})
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range []any{"bad load", sealed, map[string]any{"load": map[string]any{"ret": "full"}}, map[string]any{"key": "k", "pillar": sealed}} {
		b, err := swarm.Pack(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	inner, err := swarm.Pack(map[string]any{"nonce": nonce, "ret": true})
	if err != nil {
		f.Fatal(err)
	}
	b, err := swarm.Pack(map[string]any{"enc": "clear", "load": inner, "sig": "s"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) { swarm.ReadAnswers(b, key, session, nonce) })
}

func FuzzInspection(f *testing.F) {
	f.Add("{%- set noted = {\"m1\":\"1001:5\"} -%}\n{%- set job = salt['saltutil.find_job'](\"1\") -%}\npid=0 jid='1'\nnoted='{{ noted.get(opts['id'], '') }}' signal='KILL'\n/proc/self/stat")
	f.Fuzz(func(t *testing.T, script string) {
		if jid, sweep, kill, _, ok := swarm.Inspect(script); ok && (jid == "" || kill && !sweep) {
			t.Errorf("%q is read as a question for %q, sweep %t, kill %t", script, jid, sweep, kill)
		}
	})
}

func FuzzTarget(f *testing.F) {
	f.Add("compound", "G@os:Debian and ( not E@web.* or L@a,b )")
	f.Add("glob", "web[!a-]]*?")
	f.Add("grain", "a:b:c:*")
	f.Fuzz(func(_ *testing.T, kind, tgt string) {
		swarm.Meant("web1", map[string]any{"os": "Debian", "a": map[string]any{"b": []any{"c"}}}, nil, kind, tgt)
	})
}
