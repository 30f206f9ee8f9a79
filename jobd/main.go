// Command jobd stands beside a Salt master: it archives every job return, runs jobs, and serves Gaea's API.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal stops in order, a second one at once
	code := command.Main(ctx, version, os.Args[1:], os.Stdout, os.Stderr, command.StderrIsTerminal())
	stop()
	os.Exit(code)
}
