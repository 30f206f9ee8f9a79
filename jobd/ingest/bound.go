package ingest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// shortBytes is how much is kept of a body that is cut here.
const shortBytes = 64 << 10

// bound cuts the body of a return that is larger than may be stored. The bus and the job cache on disk are cut as they are read, by
// parts that mean something; this is for what is larger all the same: told by a runner, or grown by the marks of what was redacted.
// The JSON that is kept is a text with the beginning of the whole.
func bound(ret *gaea.Return, most int) {
	if len(ret.Body) <= most {
		return
	}
	cut := gaea.Truncation{Size: int64(len(ret.Body))} // the digest is of Salt's own form, which is not here
	if ret.Truncated != nil {
		cut = *ret.Truncated
	}
	cut.Dropped += len(ret.States)
	beginning := strings.ToValidUTF8(string(ret.Body[:min(most/8, shortBytes)]), "") // of an escape there are six bytes at most
	ret.Body, _ = json.Marshal(beginning + "…")                                      // a text always has a form in JSON
	ret.Truncated, ret.States = &cut, nil
	if ret.Outcome == gaea.OutcomeInSync {
		ret.Outcome = gaea.OutcomeFailed
		ret.Message = fmt.Sprintf("%d states are not kept, because the return was too large (%d bytes): how they ended is not known", cut.Dropped, cut.Size)
	}
	ret.StateKey = "" // without its states it is evidence of nothing
}
