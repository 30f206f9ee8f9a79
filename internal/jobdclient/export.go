package jobdclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// exportBuffer is how much of a line is looked at: a header, an end and an error are shorter.
const exportBuffer = 64 << 10

// ExportArchive copies an export of the archive to w as jobd writes it, line by line, and returns how much of each kind it
// has. An error says why what was written is not the whole of it; CodeUnavailable for an export that breaks off, or whose form
// this client does not know. It is not begun again by itself.
func (c *Client) ExportArchive(ctx context.Context, req gaea.ExportRequest, w io.Writer) (*gaea.ExportEnd, error) {
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &exportReader{watchdog: time.AfterFunc(silence, cancel), w: w}
	defer x.watchdog.Stop()
	broken := func(err error) error {
		if live.Err() != nil && ctx.Err() == nil { // the watchdog
			err = errSilent
		}
		return c.connectionError(ctx, ctx, c.timeout, err)
	}
	r, err := c.request(live, call{method: http.MethodGet, path: "/v1/archive/export", query: exportQuery(req).Values})
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/x-ndjson, application/problem+json")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, broken(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || httpclient.MediaType(resp) != "application/x-ndjson" {
		body, err := c.readAnswer(resp)
		if err != nil {
			return nil, broken(err)
		}
		if err := c.answerError(resp, body); err != nil {
			return nil, err
		}
		return nil, gaea.Errorf(gaea.CodeUnavailable, "jobd at %s sent no export; does its version go with this one?", c.endpoint)
	}
	x.lines = bufio.NewReaderSize(resp.Body, exportBuffer)
	end, err := x.copy()
	if lost, ok := errors.AsType[lostError](err); ok {
		return nil, broken(lost.error)
	}
	return end, err
}

func exportQuery(req gaea.ExportRequest) query {
	kinds := make([]string, len(req.Kinds))
	for i, k := range req.Kinds {
		kinds[i] = string(k)
	}
	return newQuery().text("master", req.Master).time("since", req.Since).time("until", req.Until).text("kind", strings.Join(kinds, ","))
}

// exportReader copies an export, and understands its first and last line.
type exportReader struct {
	lines    *bufio.Reader
	w        io.Writer
	watchdog *time.Timer
	start    []byte // of the line
}

// lostError is of an export that could not be read further.
type lostError struct{ error }

func (x *exportReader) copy() (*gaea.ExportEnd, error) {
	for begun := false; ; begun = true {
		if err := x.line(); err != nil {
			return nil, err
		}
		switch {
		case !begun:
			if err := x.header(); err != nil {
				return nil, err
			}
		case x.is(gaea.LineEnd):
			end, err := lineOf[gaea.ExportEnd](x.start)
			return &end.Data, err
		case x.is(gaea.LineError):
			failed, err := lineOf[gaea.ExportError](x.start)
			if err == nil {
				err = gaea.Errorf(failed.Data.Code, "jobd could not go on with the export: %s", failed.Data.Detail)
			}
			return nil, err
		}
	}
}

// header checks the first line.
func (x *exportReader) header() error {
	header, err := lineOf[gaea.ExportHeader](x.start)
	if err == nil && (header.Type != gaea.LineHeader || header.Data.Schema != gaea.ExportSchema) {
		err = gaea.Errorf(gaea.CodeUnavailable, "jobd sent an export of schema %d, and this client knows %d; use the jobd command of its version", header.Data.Schema, gaea.ExportSchema)
	}
	return err
}

// line copies one line, and keeps its start.
func (x *exportReader) line() error {
	for first := true; ; first = false {
		x.watchdog.Reset(silence)
		part, err := x.lines.ReadSlice('\n')
		x.watchdog.Stop() // who takes the copy may be slow
		whole := err == nil
		switch {
		case whole || errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return lostError{errCut}
		default:
			return lostError{err}
		}
		if first {
			x.start = append(x.start[:0], part...)
		}
		if _, err := x.w.Write(part); err != nil {
			return err
		}
		if whole {
			return nil
		}
	}
}

// is says what type the line has: jobd writes the type first.
func (x *exportReader) is(kind string) bool {
	return bytes.HasPrefix(x.start, []byte(`{"type":"`+kind+`",`))
}

func lineOf[T any](line []byte) (gaea.ExportLine[T], error) {
	var l gaea.ExportLine[T]
	if err := json.Unmarshal(line, &l); err != nil {
		return l, gaea.Wrap(err, gaea.CodeUnavailable, "jobd sent a line that cannot be read; does its version go with this one?")
	}
	return l, nil
}
