package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// remnantBytes is how much of a return goes into the event that is stored in its place.
const remnantBytes = 1 << 20

// remnant is the event that stands for the first record where the archive does not take it as what it is: with the tag that Salt gave
// it, and marked as suspect. No tag for an event, which has nothing else to become, and for what only ties jobs together.
func remnant(r *records, cause error, now time.Time) (e gaea.Event, err error) {
	data := map[string]any{}
	switch {
	case len(r.returns) > 0:
		ret := &r.returns[0]
		e.Tag, e.Stamp = "salt/job/"+ret.JID+"/ret/"+ret.Minion, ret.Stamp
		data["jid"], data["id"], data["fun"] = ret.JID, ret.Minion, ret.Function
		data["retcode"], data["success"] = ret.Retcode, ret.Success
		if e.Truncated = ret.Truncated; len(ret.Body) <= remnantBytes {
			data["return"] = ret.Body
		} else if e.Truncated == nil {
			sum := sha256.Sum256(ret.Body)
			e.Truncated = &gaea.Truncation{Size: int64(len(ret.Body)), SHA256: hex.EncodeToString(sum[:])}
		}
	case len(r.jobs) > 0 && r.jobs[0].Function != "":
		job := &r.jobs[0]
		e.Tag, e.Stamp = "salt/job/"+job.JID+"/new", job.Started
		data["jid"], data["fun"], data["user"] = job.JID, job.Function, job.User
	default:
		return e, nil
	}
	if e.Stamp.IsZero() {
		e.Stamp = now.UTC()
	}
	e.Suspect = "the archive does not take it as what its tag says: " + gaea.MessageOf(cause)
	e.Data, err = json.Marshal(data)
	return e, err
}
