package restapi_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

func TestAWrongConfigurationIsNamedByItsField(t *testing.T) {
	good := restapi.Config{URL: "https://salt.example.com:8000", Username: "ops", Password: password, Eauth: "ldap"}
	if c, err := restapi.New(good); err != nil || c.URL() != good.URL {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*restapi.Config){
		"url: no salt-api":     func(c *restapi.Config) { c.URL = "" },
		"url: \"salt\" is not": func(c *restapi.Config) { c.URL = "salt" },
		"url: the address":     func(c *restapi.Config) { c.URL = "https://ops:" + password + "@salt" },
		"url: \"…@":            func(c *restapi.Config) { c.URL = "htt ps://ops:" + password + "@salt" },
		"url: \"https://s?t":   func(c *restapi.Config) { c.URL = "https://s?token=1" },
		"url: http://salt":     func(c *restapi.Config) { c.URL = "http://salt:8000" },
		"username":             func(c *restapi.Config) { c.Username = "" },
		"password":             func(c *restapi.Config) { c.Password = "" },
		"eauth":                func(c *restapi.Config) { c.Eauth = "" },
		"timeout: -1s":         func(c *restapi.Config) { c.Timeout = -time.Second },
		"ca_file":              func(c *restapi.Config) { c.CAFile = filepath.Join(t.TempDir(), "none") },
	} {
		cfg := good
		change(&cfg)
		_, err := restapi.New(cfg)
		e, ok := errors.AsType[*gaea.Error](err)
		if !ok || e.Code != gaea.CodeInvalid || !strings.HasPrefix(gaea.MessageOf(err), "salt_api."+field) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
