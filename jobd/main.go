// Command jobd stands beside a Salt master: it archives every job return, runs jobs, and serves Gaea's API.
package main

import (
	"context"
	"os"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, interrupts := command.NotifyInterrupts(context.Background())
	code := command.Main(ctx, command.ThisProcess(version, interrupts))
	interrupts.Stop()
	os.Exit(code)
}
