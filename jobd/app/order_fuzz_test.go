package app_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// An order comes from a jobd that may be of another version, or from whoever can write to the database.
func FuzzOrders(f *testing.F) {
	f.Add([]byte(`{"run":"r1","cancel":{"grace":"10s"}}`))
	f.Add([]byte(`{"assignment":"a","check":{"minions":["web1"]}}`))
	f.Add([]byte(`{"assignment":"a","key":"k","enforce":{"minions":[]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		once, err := app.RewriteOrder(body)
		if err != nil {
			return
		}
		if twice, err := app.RewriteOrder(once); err != nil || string(twice) != string(once) {
			t.Errorf("%s is %s when it is read again (%v)", once, twice, err)
		}
	})
}
