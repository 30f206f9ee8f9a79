package content

import (
	"errors"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packAt is from how many bytes on packing is tried: a frame costs a dozen, and less than this seldom gives them back.
const packAt = 128

// quickBelow is up to how many bytes a content is packed without coding its letters by how frequent they are: that would take as
// long again, and save as much as a tenth of it.
const quickBelow = 4 << 10

// The packers and the unpacker are made with the first body. They serve many goroutines, and start none.
var (
	packer = sync.OnceValues(func() (*zstd.Encoder, error) { return newPacker() })
	quick  = sync.OnceValues(func() (*zstd.Encoder, error) { return newPacker(zstd.WithNoEntropyCompression(true)) })

	unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
		// What is unpacked was packed by jobd, so its size needs no bound of its own.
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(math.MaxInt64), zstd.WithDecoderLowmem(true))
	})
)

func newPacker(more ...zstd.EOption) (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, append(more, zstd.WithEncoderConcurrency(2), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true))...)
}

// packWindow bounds how far back a repetition is found, and so the packer's memory.
const packWindow = 1 << 20

var errPacked = errors.New("packed bytes do not unpack")

// Pack returns b compressed with zstd (RFC 8878), or nil where that does not make it smaller by an eighth.
func Pack(b []byte) []byte { return packed(b, packer) }

// PackSame is Pack for what is the same in bodies, of which those that are small are packed quickly: it is stored once, where what
// differs is stored with each return.
func PackSame(b []byte) []byte {
	if len(b) < quickBelow {
		return packed(b, quick)
	}
	return packed(b, packer)
}

func packed(b []byte, by func() (*zstd.Encoder, error)) []byte {
	if len(b) < packAt {
		return nil
	}
	enc, err := by()
	if err != nil {
		return nil // the options are right; unpacked is always a way to store
	}
	packed := enc.EncodeAll(b, make([]byte, 0, len(b)/2))
	if len(packed) > len(b)-len(b)/8 {
		return nil
	}
	return packed
}

// Unpack returns what [Pack] was given.
func Unpack(packed []byte) ([]byte, error) {
	dec, err := unpacker()
	if err != nil {
		return nil, err
	}
	b, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, errors.Join(errPacked, err)
	}
	return b, nil
}
