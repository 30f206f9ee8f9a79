package restapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// Publish implements [gaea.Publisher] by salt-api's client local_async. Where p has no JID the master chooses one. Missing is
// told of list targets only.
//
// It is sent again only where Salt cannot have acted on it. CodeUnavailable says that nothing was published. CodeTimeout says
// that the job may run, so look for its id in the job cache before it is published again.
func (c *Client) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	if err := p.Target.Validate(); err != nil {
		return gaea.Published{}, err
	}
	chunk := map[string]any{"client": "local_async", "fun": p.Function, "tgt": p.Target.Expr, "tgt_type": string(p.Target.Type)}
	if p.Target.Type == gaea.TargetList {
		chunk["tgt"] = p.Target.Minions
	}
	if len(p.Args) > 0 {
		chunk["arg"] = p.Args
	}
	if len(p.Kwargs) > 0 {
		chunk["kwarg"] = p.Kwargs
	}
	if p.JID != "" {
		chunk["jid"] = p.JID
	}
	if len(p.Metadata) > 0 {
		chunk["metadata"] = p.Metadata
	}
	what := jobName(p)
	for again := false; ; again = true {
		began := c.cfg.Now()
		a, err := c.lowdata(ctx, call{what: what, repeat: repeatRefused}, chunk)
		if err != nil {
			return gaea.Published{}, err
		}
		if a.status == http.StatusInternalServerError && p.JID != "" {
			published, settled, err := c.afterFault(ctx, p, a, began)
			if settled || again {
				return published, err
			}
			continue
		}
		ret, err := c.returned(a, what)
		if err != nil {
			return gaea.Published{}, err
		}
		published, ok := saltclient.ParseNetapiPublished(ret)
		if !ok {
			return gaea.Published{}, gaea.Errorf(gaea.CodeEmptyTarget, "the target %q (%s) matches no minion that the Salt master knows", p.Target, p.Target.Type)
		}
		published.Missing = missing(p.Target, published.Minions)
		return published, nil
	}
}

// quickly is how soon salt-api has to fail for it to be sure that it did not wait for the master, which it does for 30 s.
const quickly = 10 * time.Second

// afterFault finds out what became of a publication at which salt-api failed (500), for it does not say: a nodegroup that there
// is not, a master that stops, or one that does not answer, all look alike. settled is false where the master does not have the job and salt-api was too quick to have waited for the master: the
// publication may be sent again, and err is for where that has been done.
func (c *Client) afterFault(ctx context.Context, p gaea.Publication, a *answer, began time.Time) (published gaea.Published, settled bool, err error) {
	took := c.cfg.Now().Sub(began)
	what := jobName(p)
	job, err := c.CachedJob(ctx, p.JID)
	switch {
	case job != nil && len(job.Job.Minions) > 0:
		return gaea.Published{JID: p.JID, Minions: job.Job.Minions, Missing: missing(p.Target, job.Job.Minions)}, true, nil
	case gaea.CodeOf(err) == gaea.CodeNotFound && took < quickly:
		_, err = c.returned(a, what)
		return published, false, err
	default:
		return published, true, gaea.Wrap(a.cause(), gaea.CodeTimeout, "salt-api at %s failed at %s (%s) and the Salt master may have it all the same; salt-api's log has the reason", c.base, what, a.words())
	}
}

// jobName is a publication in words.
func jobName(p gaea.Publication) string {
	const most = 100
	tgt := p.Target.String()
	if len(tgt) > most {
		tgt = strings.ToValidUTF8(tgt[:most], "") + "…"
	}
	if p.JID == "" {
		return fmt.Sprintf("job %s on %s (%s)", p.Function, tgt, p.Target.Type)
	}
	return fmt.Sprintf("job %s (%s) on %s (%s)", p.Function, p.JID, tgt, p.Target.Type)
}

// missing are the listed ids that are not among those that the master told.
func missing(t gaea.Target, minions []string) []string {
	var out []string
	for _, id := range t.Minions {
		if _, found := slices.BinarySearch(minions, id); !found {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
