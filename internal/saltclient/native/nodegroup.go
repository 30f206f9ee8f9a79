package native

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// expandNodegroup makes the words of a compound target of a nodegroup, with the nodegroups inside it in brackets
// (salt.utils.minions.nodegroup_comp, which Salt's own client calls before it publishes).
func expandNodegroup(name string, groups map[string][]string) ([]any, error) {
	if _, ok := groups[name]; !ok {
		return nil, gaea.Invalid("target.expr", "the Salt master has no nodegroup %q; it has %s", name, known(groups))
	}
	words, err := nodegroupWords(name, groups, nil)
	if err != nil {
		return nil, err
	}
	all := make([]any, len(words))
	for i, word := range words {
		all[i] = word
	}
	return all, nil
}

func known(groups map[string][]string) string {
	if len(groups) == 0 {
		return "none: define it under nodegroups in its configuration"
	}
	return strings.Join(slices.Sorted(maps.Keys(groups)), ", ")
}

func nodegroupWords(name string, groups map[string][]string, within []string) ([]string, error) {
	if slices.Contains(within, name) {
		return nil, gaea.Invalid("target.expr", "the nodegroup %q holds itself: %s", name, strings.Join(append(within, name), " > "))
	}
	def, ok := groups[name]
	if !ok {
		return nil, gaea.Invalid("target.expr", "the Salt master's nodegroup %q holds N@%s, which is not defined", within[len(within)-1], name)
	}
	var words []string
	nested := false
	for _, word := range def {
		inner, isGroup := strings.CutPrefix(word, "N@")
		if !isGroup || inner == "" {
			words = append(words, word)
			continue
		}
		nested = true
		expanded, err := nodegroupWords(inner, groups, append(slices.Clone(within), name))
		if err != nil {
			return nil, err
		}
		words = append(words, expanded...)
	}
	if !nested {
		if list := plainNodegroup(def); list != "" {
			return []string{list}, nil
		}
	}
	if !nested && len(within) == 0 {
		return words, nil
	}
	return slices.Concat([]string{"("}, words, []string{")"}), nil
}

var (
	typedWord   = regexp.MustCompile(`^[A-Z]@`)
	patternWord = regexp.MustCompile(`[(\[{\\?}\])]`)
)

// plainNodegroup is a nodegroup that is just names as one word of a compound target: a list, or where a name is a pattern, an
// expression. Empty where it is more than names.
func plainNodegroup(words []string) string {
	pattern := false
	for _, word := range words {
		if slices.Contains([]string{"and", "or", "not", "(", ")"}, word) || strings.Contains(word, "*") || typedWord.MatchString(word) {
			return ""
		}
		pattern = pattern || patternWord.MatchString(word)
	}
	if pattern {
		return "E@" + strings.Join(words, ",")
	}
	return "L@" + strings.Join(words, ",")
}

// maxRange bounds the answer of a range server in bytes.
const maxRange = 8 << 20

// expandRange asks the range server of the master's configuration for the minions of a range expression: a GET of
// /range/list?EXPRESSION, which answers with a name a line.
func (c *Client) expandRange(ctx context.Context, expr string) ([]any, error) {
	config := c.Config()
	endpoint := url.URL{Scheme: "http", Host: config.RangeServer, Path: "/range/list", RawQuery: url.QueryEscape(expr)}
	limited, cancel := context.WithTimeout(ctx, c.opts.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, endpoint.String(), nil)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "range_server in %s is %q, which is no host", config.Dir, config.RangeServer)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the range server %s does not answer; check range_server in %s", config.RangeServer, config.Dir)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxRange))
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the range server %s stopped in its answer", config.RangeServer)
	}
	if words := answer.Header.Get("RangeException"); words != "" {
		return nil, gaea.Invalid("target.expr", "the range server refuses %q: %s", expr, words)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, gaea.Errorf(gaea.CodeUnavailable, "the range server %s answered %s", config.RangeServer, answer.Status)
	}
	ids := []any{}
	for line := range strings.Lines(string(body)) {
		if id := strings.TrimSpace(line); id != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
