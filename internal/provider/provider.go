// Package provider is the Terraform provider of Gaea: target groups, job templates, state assignments and jobs as resources,
// what came of jobs as data. It turns configurations into definitions and runs, has jobd keep and carry them out, and shows
// jobd's evidence as drift.
package provider

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// Address is the provider's address in a registry.
const Address = "registry.terraform.io/gaea-salt/gaea"

// The environment variables that stand in for arguments of the provider block.
const (
	EnvEndpoint       = "GAEA_ENDPOINT"
	EnvToken          = "GAEA_TOKEN"
	EnvCAFile         = "GAEA_CA_FILE"
	EnvRequestTimeout = "GAEA_REQUEST_TIMEOUT"
)

// Option changes how a provider is made.
type Option func(*gaeaProvider)

// WithBackend has the provider talk to b instead of a jobd at an endpoint, and needs no endpoint and no token then.
func WithBackend(b Backend) Option { return func(p *gaeaProvider) { p.backend = b } }

// WithLife has what the provider starts end with l; without it, it ends with the process.
func WithLife(l *Life) Option { return func(p *gaeaProvider) { p.life = l } }

// New returns what makes the provider, as the framework's servers want it.
func New(version string, options ...Option) func() provider.Provider {
	return func() provider.Provider {
		p := &gaeaProvider{version: version, life: &Life{}}
		for _, o := range options {
			o(p)
		}
		return p
	}
}

type gaeaProvider struct {
	version string
	backend Backend // from WithBackend
	life    *Life
}

type providerModel struct {
	Endpoint       types.String `tfsdk:"endpoint"`
	Token          types.String `tfsdk:"token"`
	CAFile         types.String `tfsdk:"ca_file"`
	RequestTimeout types.String `tfsdk:"request_timeout"`
	SaltAPI        types.Object `tfsdk:"salt_api"`
}

func (p *gaeaProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "gaea"
	resp.Version = p.version
}

func (p *gaeaProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Salt in a plan: what should be true on which minions, and what is not. The provider talks to " +
			"`jobd`, the daemon beside a Salt master, or without one to a salt-api.",
		Attributes: map[string]schema.Attribute{
			"endpoint": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Where jobd listens, for example `http://127.0.0.1:7780` or `https://salt.example.com:7780`. " +
					"Also from `GAEA_ENDPOINT`.",
				Validators: []validator.String{endpointValidator()},
			},
			"token": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "A token of jobd, from `jobd token create`. The role `read` sees drift that is in the archive, " +
					"`plan` may also have minions looked at again, `apply` may change things. Also from `GAEA_TOKEN`, which keeps it " +
					"out of files.",
			},
			"ca_file": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "A file of PEM certificates that are trusted for jobd's certificate, beside the system's own. " +
					"Also from `GAEA_CA_FILE`.",
			},
			"request_timeout": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long one request to jobd, or to salt-api, may take, for example `30s`, which is the default. It does not " +
					"bound a run: `timeouts` of the resource does. Also from `GAEA_REQUEST_TIMEOUT`.",
				Validators: []validator.String{durationValidator()},
			},
			"salt_api": saltAPIAttribute(),
		},
	}
}

// Configure connects to jobd and asks who the token is, so that a jobd that is down or a bad token is one error and not one
// for each resource.
func (p *gaeaProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if argument := config.unknown(); argument != "" && p.backend == nil {
		tflog.Info(ctx, "the provider's configuration is not whole yet", map[string]any{"unknown": argument})
		if req.ClientCapabilities.DeferralAllowed {
			resp.Deferred = &provider.Deferred{Reason: provider.DeferredReasonProviderConfigUnknown}
		}
		s := &session{unknown: argument, direct: !config.SaltAPI.IsNull()}
		resp.ResourceData, resp.DataSourceData = s, s
		return
	}

	s := &session{backend: p.backend}
	if s.backend == nil {
		s.backend = p.connect(config, &resp.Diagnostics, "terraform-provider-gaea/"+p.version+" terraform/"+req.TerraformVersion)
		if resp.Diagnostics.HasError() {
			return
		}
	}
	s.direct = s.backend.Direct()
	who, err := s.backend.WhoAmI(ctx)
	switch {
	case err != nil && s.direct:
		addSaltAPIError(&resp.Diagnostics, err)
		return
	case err != nil:
		addConnectError(&resp.Diagnostics, err)
		return
	}
	s.principal = *who
	tflog.Info(ctx, "connected", map[string]any{"name": s.principal.Name, "role": string(s.principal.Role), "direct": s.direct})
	resp.ResourceData, resp.DataSourceData = s, s
}

func addConnectError(diags *diag.Diagnostics, err error) {
	detail := sentence(words(err)) + "\n\nNothing was changed, in Terraform's state or on any minion."
	switch gaea.CodeOf(err) {
	case gaea.CodeUnauthenticated:
		diags.AddAttributeError(path.Root("token"), "jobd does not know the token", detail)
	case gaea.CodeUnavailable, gaea.CodeTimeout:
		diags.AddError("jobd does not answer", detail)
	default:
		diags.AddError("jobd refuses", detail)
	}
}

// unknown names the first argument whose value is not known yet.
func (m providerModel) unknown() string {
	switch {
	case m.Endpoint.IsUnknown():
		return "endpoint"
	case m.Token.IsUnknown():
		return "token"
	case m.CAFile.IsUnknown():
		return "ca_file"
	case m.RequestTimeout.IsUnknown():
		return "request_timeout"
	case m.unknownSaltAPI():
		return "salt_api"
	default:
		return ""
	}
}

// connect makes the backend that the configuration or the environment names.
func (p *gaeaProvider) connect(m providerModel, diags *diag.Diagnostics, userAgent string) Backend {
	direct, ok := m.direct(diags)
	switch {
	case !ok:
		return nil
	case direct:
		return p.connectSaltAPI(m, diags, userAgent)
	default:
		return m.connectJobd(diags, userAgent)
	}
}

// connectJobd makes the client of jobd's API from the arguments, and from the environment where an argument is not set.
func (m providerModel) connectJobd(diags *diag.Diagnostics, userAgent string) Backend {
	c := jobdclient.Config{
		Endpoint:  orEnv(m.Endpoint, EnvEndpoint),
		Token:     orEnv(m.Token, EnvToken),
		CAFile:    orEnv(m.CAFile, EnvCAFile),
		UserAgent: userAgent,
		Logger:    newLogger(),
	}
	if c.Endpoint == "" {
		diags.AddAttributeError(path.Root("endpoint"), "No endpoint", "Say where jobd listens: set endpoint in the provider block, "+
			"for example \"http://127.0.0.1:7780\", or the environment variable "+EnvEndpoint+".")
	}
	if c.Token == "" {
		diags.AddAttributeError(path.Root("token"), "No token", "Make one on jobd's machine with `jobd token create --role apply` and "+
			"pass it as token in the provider block or, better, as the environment variable "+EnvToken+".")
	}
	c.Timeout = m.requestTimeout(diags)
	if diags.HasError() {
		return nil
	}
	client, err := jobdclient.New(c)
	if err != nil {
		addInvalid(diags, path.Root("endpoint"), err)
		return nil
	}
	return jobdBackend{client}
}

// requestTimeout is how long one request may take; 0 where nobody says.
func (m providerModel) requestTimeout(diags *diag.Diagnostics) time.Duration {
	s := orEnv(m.RequestTimeout, EnvRequestTimeout)
	if s == "" {
		return 0
	}
	d, err := positiveDuration(s)
	if err != nil {
		diags.AddAttributeError(path.Root("request_timeout"), "Invalid request_timeout", sentence(words(err)))
	}
	return d.Std()
}

func orEnv(v types.String, name string) string {
	if v.ValueString() != "" {
		return v.ValueString()
	}
	return os.Getenv(name)
}

func (p *gaeaProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newTargetGroupResource, newJobTemplateResource, newStateAssignmentResource, newJobResource}
}

func (p *gaeaProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newJobResultDataSource}
}
