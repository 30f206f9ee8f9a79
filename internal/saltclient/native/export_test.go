package native

import (
	"context"
	"errors"
	"io"
)

// Frames reads every message of a stream, as the reader of the event socket does, and counts those that were passed over. err
// is what ended the stream.
func Frames(src io.Reader, maxFrame int, each func(body []byte)) (passed int, err error) {
	f := newFrameReader(src, maxFrame, maxFrame)
	for {
		body, large, err := f.next()
		switch {
		case errors.Is(err, errFrame) || errors.Is(err, errFrameSize):
			passed++
		case err != nil:
			return passed, err
		case large != nil:
			passed++
		default:
			each(body)
		}
	}
}

// LargeFrames reads every message of a stream, and those whose bodies are larger than large as they come: up to skip bytes
// before their ends.
func LargeFrames(src io.Reader, large, skip int, each func(body []byte)) error {
	f := newFrameReader(src, DefaultMaxFrame, large)
	for {
		body, rest, err := f.next()
		if err == nil && rest != nil {
			body, err = io.ReadAll(io.LimitReader(rest, int64(rest.size-skip)))
		}
		if err != nil {
			return err
		}
		each(body)
	}
}

// ErrLostSync is what ends a stream whose messages have no borders any more.
var ErrLostSync = errLostSync

// AppendValue packs an argument as it goes to the master.
func AppendValue(v any) ([]byte, error) { return appendValue(nil, v, 0) }

// JobDir is the directory of a job in the job cache on disk; false where there is none.
func JobDir(config MasterConfig, jid string) (string, bool) {
	d, ok := newDiskCache(config, Options{})
	if !ok {
		return "", false
	}
	return d.dir(jid), true
}

// Gathered reads as the event socket is read, which lets what a busy bus brings come together.
func Gathered(ctx context.Context, src io.Reader) io.Reader { return &gatherer{ctx: ctx, src: src} }
