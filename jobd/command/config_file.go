package command

import (
	"errors"
	"fmt"
	"io"
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
func (f configFile) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(configFile)) //nolint:forcetypeassert,revive // the flag has this type
	keys, err := readConfig(path)
	if err != nil {
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
		if node, ok := keys[strings.ReplaceAll(flag.Name, "-", "_")]; ok {
			return node.Value, nil
		}
		return nil, nil //nolint:nilnil // kong's way to say: not here
	}))
	return nil
}

func readConfig(path string) (map[string]yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the config file %s cannot be read; give --config a YAML file that jobd's user may read", path)
	}
	defer f.Close() //nolint:errcheck // only read
	keys := map[string]yaml.Node{}
	if err := yaml.NewDecoder(f).Decode(&keys); err != nil && !errors.Is(err, io.EOF) {
		return nil, gaea.Errorf(gaea.CodeInvalid, "%s is not a YAML map of settings: %s", path, strings.TrimPrefix(fmt.Sprint(err), "yaml: "))
	}
	return keys, nil
}
