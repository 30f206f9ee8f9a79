package content

import (
	"errors"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// packAt is from how many bytes on packing is tried: a frame costs a dozen, and less than this seldom gives them back.
const packAt = 128

// packer and unpacker are made with the first body. Both serve many goroutines, and start none.
var (
	packer = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true))
	})
	unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
		// What is unpacked was packed by jobd, so its size needs no bound of its own.
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(4), zstd.WithDecoderMaxMemory(math.MaxInt64), zstd.WithDecoderLowmem(true))
	})
)

// packWindow bounds how far back a repetition is found, and so the packer's memory.
const packWindow = 1 << 20

var errPacked = errors.New("packed bytes do not unpack")

// Pack returns b compressed with zstd (RFC 8878), or nil where that does not make it smaller by an eighth.
func Pack(b []byte) []byte {
	if len(b) < packAt {
		return nil
	}
	enc, err := packer()
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
