package command

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

type tokenCommand struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token and print it, once."`
	List   tokenListCommand   `cmd:"" help:"List tokens, without what makes them valid."`
	Revoke tokenRevokeCommand `cmd:"" help:"Make a token worthless."`
}

// keeper is how token commands reach the archive: directly, because the first token cannot be asked for with a token.
type keeper struct {
	Config   configFile `help:"jobd's config file, for the database and the key file." placeholder:"FILE"`
	Database string     `help:"Where the archive is, as for jobd serve." default:"sqlite:///var/lib/jobd/jobd.db" placeholder:"URL"`
	KeyFile  string     `help:"As for jobd serve." type:"path" placeholder:"FILE"`
}

func (k keeper) open(ctx context.Context, create bool) (*app.Tokens, error) {
	return app.OpenTokens(ctx, k.Database, k.KeyFile, create)
}

type tokenCreateCommand struct {
	keeper
	Role string        `help:"What it may do: read, plan (and cause test runs), apply (and change and run), admin (and make tokens)." enum:"${roles}" required:"true" placeholder:"ROLE"`
	Name string        `help:"Who uses it; owns what it creates. The role when absent." placeholder:"NAME"`
	TTL  gaea.Duration `help:"How long it is valid; for ever when absent." placeholder:"DURATION"`
}

// Help is printed above the list of arguments.
func (*tokenCreateCommand) Help() string {
	return `It needs the database and the key file, and so jobd's user: sudo -u jobd jobd token create …

Examples:
  jobd token create --role apply --name terraform
  jobd token create --role plan --name ci --ttl 720h --config /etc/jobd/jobd.yaml`
}

// Run prints the token alone on standard output.
func (c *tokenCreateCommand) Run(w *world) error {
	tokens, err := c.open(w.ctx, true)
	if err != nil {
		return err
	}
	defer tokens.Close()
	name := c.Name
	if name == "" {
		name = c.Role
	}
	t, err := tokens.Create(w.ctx, name, gaea.Role(c.Role), time.Duration(c.TTL))
	if err != nil {
		return err
	}
	if tokens.Made {
		w.note("There was no database %s: it was made now. jobd serve must be given the same one.\n", tokens.Name)
	}
	w.printf("%s\n", t.Secret)
	w.note("This is the only time that the token %s (%s, role %s) is shown.\n", t.ID, t.Name, t.Role)
	return nil
}

type tokenListCommand struct {
	keeper
	format
}

// Run lists the tokens.
func (c *tokenListCommand) Run(w *world) error {
	tokens, err := c.open(w.ctx, false)
	if err != nil {
		return err
	}
	defer tokens.Close()
	list, err := tokens.List(w.ctx)
	if err != nil {
		return err
	}
	rows := make([][]string, len(list))
	for i, t := range list {
		expires := "never"
		if !t.Expires.IsZero() {
			expires = c.time(t.Expires)
		}
		rows[i] = []string{t.ID, t.Name, string(t.Role), c.time(t.Created), expires}
	}
	return c.rows(w.Stdout, list, []string{"id", "name", "role", "created", "expires"}, rows)
}

type tokenRevokeCommand struct {
	keeper
	ID string `arg:"" help:"The token's id, from jobd token list."`
}

// Run revokes the token.
func (c *tokenRevokeCommand) Run(w *world) error {
	tokens, err := c.open(w.ctx, false)
	if err != nil {
		return err
	}
	defer tokens.Close()
	return tokens.Revoke(w.ctx, c.ID)
}
