package native

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// options are the keys of configuration files with their values: texts, numbers, truth values, []any and map[string]any.
type options map[string]any

// maxIncludes is how many files may include each other in a row. Salt has no such bound and never comes back from a circle.
const maxIncludes = 16

// readOptions reads one file. An error satisfies errors.Is with fs.ErrNotExist where there is none.
func readOptions(path string) (options, error) {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case errors.Is(err, fs.ErrPermission):
		return nil, gaea.Wrap(err, gaea.CodeForbidden, "%s holds configuration of the Salt master and user %s may not read it; let that user read it, for example with: setfacl -m u:%s:r %s", path, currentUser(), currentUser(), path)
	case err != nil:
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "%s, which holds configuration of the Salt master, cannot be read", path)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "%s is no YAML, so the master's configuration cannot be told; Salt itself refuses it too", path)
	}
	if len(doc.Content) == 0 {
		return options{}, nil
	}
	value, err := plainValue(doc.Content[0], 0)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "%s cannot be read as YAML", path)
	}
	switch value := value.(type) {
	case nil:
		return options{}, nil
	case map[string]any:
		return value, nil
	default:
		return nil, gaea.Errorf(gaea.CodeInvalid, "%s holds no keys and values; a master's configuration is lines such as \"interface: 0.0.0.0\"", path)
	}
}

// maxYAMLDepth bounds how deep a configuration may nest.
const maxYAMLDepth = 100

// plainValue makes plain Go values of YAML. Unlike the library's own it takes the last of two equal keys, as Salt does.
func plainValue(n *yaml.Node, depth int) (any, error) {
	if depth > maxYAMLDepth {
		return nil, fmt.Errorf("line %d: nested deeper than %d", n.Line, maxYAMLDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return plainValue(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			value, err := plainValue(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.MappingNode:
		return plainMap(n, depth)
	default:
		var value any
		if err := n.Decode(&value); err != nil {
			value = n.Value // a tag of Salt's own, or a time that is none
		}
		return value, nil
	}
}

func plainMap(n *yaml.Node, depth int) (map[string]any, error) {
	m, merged := map[string]any{}, map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		value, err := plainValue(item, depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag != "!!merge" {
			m[key.Value] = value
			continue
		}
		sources, ok := value.([]any)
		if !ok {
			sources = []any{value}
		}
		for _, source := range slices.Backward(sources) {
			if source, ok := source.(map[string]any); ok {
				maps.Copy(merged, source)
			}
		}
	}
	maps.Copy(merged, m)
	return merged, nil
}

// readIncludes reads what an include of the file at origin names (salt.config.include_config): each glob's matches in order,
// each with its own includes, laid over one another.
func readIncludes(patterns []string, origin string, depth int) (options, []string, error) {
	if depth > maxIncludes {
		return nil, nil, gaea.Errorf(gaea.CodeInvalid, "%s is the last of more than %d files that include one another; there is a circle", origin, maxIncludes)
	}
	all, files := options{}, []string(nil)
	for _, pattern := range patterns {
		matches, err := includeMatches(pattern, origin)
		if err != nil {
			return nil, nil, err
		}
		for _, path := range matches {
			opts, err := readOptions(path)
			if err != nil {
				return nil, nil, err
			}
			inner, read, err := readIncludes(opts.list("include"), path, depth+1)
			if err != nil {
				return nil, nil, err
			}
			maps.Copy(opts, inner)
			files = append(append(files, path), read...)
			mergeOptions(all, opts)
		}
	}
	return all, files, nil
}

// includeMatches is the files that a pattern of the file at origin names, sorted. As in Python, a wildcard at the start of a
// name does not match a dot.
func includeMatches(pattern, origin string) ([]string, error) {
	path := pattern
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, rest)
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(origin), path)
	}
	matches, err := filepath.Glob(path)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "%s includes %q, which is no pattern for files", origin, pattern)
	}
	// A pattern matches nothing as well where its directory may not be read: that must not pass for an empty one.
	if dir := filepath.Dir(path); len(matches) == 0 && !strings.ContainsAny(dir, "*?[") {
		if _, err := os.ReadDir(dir); errors.Is(err, fs.ErrPermission) {
			return nil, gaea.Wrap(err, gaea.CodeForbidden, "%s may hold configuration of the Salt master and user %s may not list it; let that user read it, for example with: setfacl -m u:%s:rx %s", dir, currentUser(), currentUser(), dir)
		}
	}
	hidden := strings.HasPrefix(filepath.Base(path), ".")
	matches = slices.DeleteFunc(matches, func(m string) bool {
		info, err := os.Stat(m)
		return strings.HasPrefix(filepath.Base(m), ".") != hidden || err == nil && info.IsDir()
	})
	slices.Sort(matches)
	return matches, nil
}

// mergeOptions lays src over dst: maps are merged, lists joined, everything else replaced (salt.utils.dictupdate).
func mergeOptions(dst, src map[string]any) {
	for key, value := range src {
		switch value := value.(type) {
		case map[string]any:
			if old, ok := dst[key].(map[string]any); ok {
				mergeOptions(old, value)
				continue
			}
		case []any:
			if old, ok := dst[key].([]any); ok {
				dst[key] = append(slices.Clone(old), value...)
				continue
			}
		}
		dst[key] = value
	}
}

// list is a value that may be one text or a list of them.
func (o options) list(key string) []string {
	switch value := o[key].(type) {
	case string:
		if value != "" {
			return []string{value}
		}
	case []any:
		var all []string
		for _, item := range value {
			all = append(all, fmt.Sprint(item))
		}
		return all
	}
	return nil
}

// optionReader reads values with the type that they should have and keeps the first error.
type optionReader struct {
	options
	err error
}

func (r *optionReader) wrong(key, example string) {
	r.err = cmp.Or(r.err, error(gaea.Invalid(key, "the master's configuration says %v; write for example %q", r.options[key], key+": "+example)))
}

// text reads a text; a number counts as one, null and an empty text as not set.
func (r *optionReader) text(key, def string) string {
	switch value := r.options[key].(type) {
	case nil:
		return def
	case string:
		return cmp.Or(value, def)
	case map[string]any, []any:
		r.wrong(key, cmp.Or(def, "value"))
		return def
	default:
		return fmt.Sprint(value)
	}
}

func (r *optionReader) number(key string, def int) int {
	switch value := r.options[key].(type) {
	case nil:
		return def
	case int:
		return value
	case float64:
		return int(value)
	case string:
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
			return n
		}
	}
	r.wrong(key, strconv.Itoa(def))
	return def
}

// truth reads a truth value in all the ways in which YAML 1.1, which Salt reads, writes it.
func (r *optionReader) truth(key string, def bool) bool {
	switch value := r.options[key].(type) {
	case nil:
		return def
	case bool:
		return value
	case int:
		return value != 0
	case string:
		switch strings.ToLower(value) {
		case "true", "yes", "on", "y":
			return true
		case "false", "no", "off", "n", "":
			return false
		}
	}
	r.wrong(key, strconv.FormatBool(def))
	return def
}

// keys are the keys of a map, sorted.
func (r *optionReader) keys(key string) []string {
	m, ok := r.options[key].(map[string]any)
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// matchUser is how publisher_acl matches users (salt.utils.stringutils.expr_match): equal, as a glob, or as a whole regular
// expression.
func matchUser(pattern, name string) bool {
	if pattern == name {
		return true
	}
	if ok, err := filepath.Match(pattern, name); err == nil && ok {
		return true
	}
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	return err == nil && re.MatchString(name)
}

// currentUser is the name of the user that this process runs as, or its number where the system knows no name.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Geteuid())
}
