package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// configFile is a flag that names a YAML file whose keys are the other flags of its command. A key that is no flag is an
// error: a misspelt setting must not be a setting that is silently not made.
type configFile string

// BeforeResolve is called by kong when the flag is given, before defaults are filled in.
func (f configFile) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path, w *world) error {
	value, _ := ctx.FlagValue(trace.Flag).(configFile)
	path := string(value)
	keys, err := readConfig(path)
	if err != nil {
		return err
	}
	if keys, err = flattened(path, keys); err != nil {
		return err
	}
	// Every command takes the file whole, so that there is one for jobd serve and jobd token.
	known := map[string]bool{}
	for _, command := range k.Model.Leaves(true) {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				known[flag.Name] = flag.Name != trace.Flag.Name
			}
		}
	}
	for key, node := range keys {
		if !known[strings.ReplaceAll(key, "_", "-")] || strings.Contains(key, "-") {
			return gaea.Errorf(gaea.CodeInvalid, "%s line %d: %q is not a key; jobd serve --help lists them (with \"_\" for \"-\")", path, node.Line, key)
		}
		if node.Kind != yaml.ScalarNode {
			return gaea.Errorf(gaea.CodeInvalid, "%s line %d: %s takes one value", path, node.Line, key)
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		key := strings.ReplaceAll(flag.Name, "-", "_")
		if node, ok := keys[key]; ok {
			w.origins[flag.Name] = fmt.Sprintf("%s line %d: %s", path, node.Line, key)
			return node.Value, nil
		}
		return nil, nil //nolint:nilnil // kong's way to say: not here
	}))
	return nil
}

// flattened writes a map below a key as keys of its own: retention: {events: 14d} is retention_events: 14d.
func flattened(path string, keys map[string]yaml.Node) (map[string]yaml.Node, error) {
	flat := map[string]yaml.Node{}
	for key, node := range keys {
		below := map[string]yaml.Node{key: node}
		if node.Kind == yaml.MappingNode {
			below = map[string]yaml.Node{}
			for i := 0; i+1 < len(node.Content); i += 2 {
				below[key+"_"+node.Content[i].Value] = *node.Content[i+1]
			}
		}
		for name, value := range below {
			if _, twice := flat[name]; twice {
				return nil, gaea.Errorf(gaea.CodeInvalid, "%s line %d: %s is set twice", path, value.Line, name)
			}
			flat[name] = value
		}
	}
	return flat, nil
}

func readConfig(path string) (map[string]yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, gaea.Errorf(gaea.CodeInvalid, "the config file %s cannot be read (%s); give --config a YAML file that jobd's user may read", path, reason(err))
	}
	defer f.Close()
	keys := map[string]yaml.Node{}
	if err := yaml.NewDecoder(f).Decode(&keys); err != nil && !errors.Is(err, io.EOF) {
		why := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
		return nil, gaea.Errorf(gaea.CodeInvalid, "%s is not a YAML map of settings (%s); dist/jobd.yaml of jobd's sources is a sample", path, why)
	}
	return keys, nil
}

// reason is the system's word for what is wrong with a file, without its path.
func reason(err error) string {
	if broken, ok := errors.AsType[*fs.PathError](err); ok {
		return broken.Err.Error()
	}
	return err.Error()
}
