package postgres

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// connectTimeout bounds how long the server may take to answer a new connection, where the address does not say.
const connectTimeout = 5 * time.Second

// connections is how many there may be, where the address does not say (pool_max_conns).
const connections = 10

// applicationName is what the server shows of a jobd's sessions, before its id.
const applicationName = "jobd "

// parse reads an address: a URL as libpq and pgx know it, with PG… variables and ~/.pgpass for what it does not say. The
// error does not quote it. CodeInvalid.
func parse(address string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, gaea.Invalid("database", "the address of the database in PostgreSQL cannot be read; write postgres://USER@HOST:PORT/DATABASE, with %%XX for what is special in a password")
	}
	if !strings.Contains(address, "connect_timeout") && os.Getenv("PGCONNECT_TIMEOUT") == "" {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if !strings.Contains(address, "pool_max_conns") {
		config.MaxConns = connections
	}
	config.ConnConfig.DialFunc = dialer().DialContext
	params := config.ConnConfig.RuntimeParams
	for name, value := range map[string]string{
		"application_name": "jobd",
		// The server finds out within half a minute that a machine is gone, and lets go of its locks.
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4",
	} {
		if params[name] == "" {
			params[name] = value
		}
	}
	return config, nil
}

// Place is what an address names, without user and password: HOST:PORT/DATABASE. CodeInvalid.
func Place(address string) (string, error) {
	config, err := parse(address)
	if err != nil {
		return "", err
	}
	return placeOf(config), nil
}

func placeOf(config *pgxpool.Config) string {
	c := config.ConnConfig
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + c.Database
}
