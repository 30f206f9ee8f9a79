package provider

import (
	"context"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/direct"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

// The environment variables that stand in for arguments of salt_api, as pepper has them.
const (
	EnvSaltAPIURL      = "SALTAPI_URL"
	EnvSaltAPIUser     = "SALTAPI_USER"
	EnvSaltAPIPassword = "SALTAPI_PASS"
	EnvSaltAPIEauth    = "SALTAPI_EAUTH"
)

func saltAPIAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "A salt-api instead of a jobd (direct mode): runs are carried out in the provider itself, and drift is looked for " +
			"live. Excludes `endpoint` and `token`. `salt_api = {}` takes everything from the environment. See the guide " +
			"[Without a jobd](guides/direct-mode).",
		Attributes: map[string]schema.Attribute{
			"url": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Where salt-api listens, for example `https://salt.example.com:8000`. Also from `SALTAPI_URL`.",
			},
			"username": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Who logs in. Also from `SALTAPI_USER`.",
			},
			"password": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "The password. Also from `SALTAPI_PASS`, which keeps it out of files.",
			},
			"eauth": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How salt-api checks the password, as the master's `external_auth` names it: `pam`, `ldap`, `file`, " +
					"`sharedsecret` or `auto`. Also from `SALTAPI_EAUTH`.",
			},
			"ca_file": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "A file of PEM certificates that are trusted for salt-api's certificate, beside the system's own.",
			},
		},
	}
}

// saltAPI is an argument of salt_api, null where there is none.
func (m providerModel) saltAPI(name string) types.String {
	if v, ok := m.SaltAPI.Attributes()[name].(types.String); ok {
		return v
	}
	return types.StringNull()
}

// unknownSaltAPI says whether salt_api, or an argument of it, is not known yet.
func (m providerModel) unknownSaltAPI() bool {
	if m.SaltAPI.IsUnknown() {
		return true
	}
	for _, v := range m.SaltAPI.Attributes() {
		if v.IsUnknown() {
			return true
		}
	}
	return false
}

// direct decides between a jobd and a salt-api: by what is in the configuration, or where that has neither, in the environment.
// ok is false where that is not clear.
func (m providerModel) direct(diags *diag.Diagnostics) (direct, ok bool) {
	jobd, salt := !m.Endpoint.IsNull() || !m.Token.IsNull(), !m.SaltAPI.IsNull()
	switch {
	case jobd && salt:
		diags.AddAttributeError(path.Root("salt_api"), "Both a jobd and a salt-api", "The provider talks to a jobd (endpoint and token) or to a "+
			"salt-api (salt_api), not to both. Leave out one of them.")
		return false, false
	case jobd || salt:
		return salt, true
	}
	jobd, salt = os.Getenv(EnvEndpoint) != "" || os.Getenv(EnvToken) != "", os.Getenv(EnvSaltAPIURL) != ""
	switch {
	case jobd && salt:
		diags.AddError("Both a jobd and a salt-api in the environment", "The environment names a jobd ("+EnvEndpoint+", "+EnvToken+") and a salt-api ("+
			EnvSaltAPIURL+"), and the provider block names neither. Unset one of them, or say in the provider block which is meant: "+
			"endpoint = \"…\" for the jobd, salt_api = {} for the salt-api.")
		return false, false
	case !jobd && !salt:
		diags.AddError("Neither a jobd nor a salt-api", "Say in the provider block what to talk to. A jobd: endpoint = \"http://127.0.0.1:7780\" and "+
			"token, or the environment variables "+EnvEndpoint+" and "+EnvToken+". Or, without a jobd, a salt-api: salt_api = { url, username, "+
			"password, eauth }, or "+EnvSaltAPIURL+", "+EnvSaltAPIUser+", "+EnvSaltAPIPassword+" and "+EnvSaltAPIEauth+".")
		return false, false
	}
	return salt, true
}

// connectSaltAPI makes the backend that carries runs out in this process. It is stopped at the end of the provider's life.
func (p *gaeaProvider) connectSaltAPI(m providerModel, diags *diag.Diagnostics, userAgent string) Backend {
	c := restapi.Config{
		URL: orEnv(m.saltAPI("url"), EnvSaltAPIURL), Username: orEnv(m.saltAPI("username"), EnvSaltAPIUser),
		Password: orEnv(m.saltAPI("password"), EnvSaltAPIPassword), Eauth: orEnv(m.saltAPI("eauth"), EnvSaltAPIEauth),
		CAFile: m.saltAPI("ca_file").ValueString(), UserAgent: userAgent, Logger: newLogger(),
	}
	if c.URL == "" {
		diags.AddAttributeError(path.Root("salt_api").AtName("url"), "No url", "Say where salt-api listens: set url in salt_api, for example "+
			"\"https://salt.example.com:8000\", or the environment variable "+EnvSaltAPIURL+".")
	}
	c.Timeout = m.requestTimeout(diags)
	if diags.HasError() {
		return nil
	}
	client, err := restapi.New(c)
	if err != nil {
		addInvalid(diags, path.Root("salt_api"), err)
		return nil
	}
	b := direct.New(direct.Options{Salt: client, User: c.Username, Logger: c.Logger, Login: client.Login})
	p.life.add(func(ctx context.Context) error {
		defer client.Close()
		return b.Stop(ctx)
	})
	return b
}

// addSaltAPIError is [addConnectError] for a salt-api.
func addSaltAPIError(diags *diag.Diagnostics, err error) {
	detail := sentence(words(err)) + "\n\nNothing was changed, in Terraform's state or on any minion."
	switch gaea.CodeOf(err) {
	case gaea.CodeUnauthenticated:
		diags.AddAttributeError(path.Root("salt_api"), "salt-api does not let the user in", detail)
	case gaea.CodeUnavailable, gaea.CodeTimeout:
		diags.AddAttributeError(path.Root("salt_api"), "salt-api does not answer", detail)
	default:
		diags.AddAttributeError(path.Root("salt_api"), "salt-api refuses", detail)
	}
}
