package provider_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

// schemas are all schemas of the provider by the name of what they describe, as Terraform is given them.
func schemas(t *testing.T) map[string]*tfprotov6.Schema {
	t.Helper()
	server, err := providerserver.NewProtocol6WithError(provider.New("test")())()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range resp.Diagnostics {
		t.Errorf("%s: %s: %s", d.Severity, d.Summary, d.Detail)
	}
	all := map[string]*tfprotov6.Schema{"provider": resp.Provider}
	maps.Copy(all, resp.ResourceSchemas)
	for name, s := range resp.DataSourceSchemas {
		all["data."+name] = s
	}
	if len(all) != 6 {
		t.Errorf("there are %d schemas", len(all))
	}
	return all
}

// eachAttribute calls f with every attribute and its path, nested ones too.
func eachAttribute(path string, attributes []*tfprotov6.SchemaAttribute, f func(path string, a *tfprotov6.SchemaAttribute)) {
	for _, a := range attributes {
		f(path+"."+a.Name, a)
		if a.NestedType != nil {
			eachAttribute(path+"."+a.Name, a.NestedType.Attributes, f)
		}
	}
}

func TestEveryAttributeIsDescribedInSentences(t *testing.T) {
	for name, s := range schemas(t) {
		if s.Block.Description == "" {
			t.Errorf("%s is not described", name)
		}
		eachAttribute(name, s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			if !strings.HasSuffix(a.Description, ".") {
				t.Errorf("%s: %q", path, a.Description)
			}
		})
	}
}

func TestWhatIsSecretIsSensitive(t *testing.T) {
	var sensitive, writeOnly []string
	for name, s := range schemas(t) {
		eachAttribute(name, s.Block.Attributes, func(path string, a *tfprotov6.SchemaAttribute) {
			if a.Sensitive {
				sensitive = append(sensitive, path)
			}
			if a.WriteOnly {
				writeOnly = append(writeOnly, path)
			}
		})
	}
	slices.Sort(sensitive)
	if want := []string{
		"gaea_job_template.post_actions.http.headers", "gaea_job_template.pre_actions.http.headers", "gaea_state_assignment.pillar_wo",
		"provider.salt_api.password", "provider.token",
	}; !slices.Equal(sensitive, want) {
		t.Errorf("sensitive are %q", sensitive)
	}
	if want := []string{"gaea_state_assignment.pillar_wo"}; !slices.Equal(writeOnly, want) {
		t.Errorf("write-only are %q", writeOnly)
	}
}
