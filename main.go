// Command terraform-provider-gaea is the Terraform provider of Gaea. Terraform starts it; it has nothing to offer on a
// command line of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

// version is set by the linker at a release.
var version = "dev"

// endTime is how long the provider may take to end: Terraform kills it after two seconds.
const endTime = time.Second

func main() {
	debug := flag.Bool("debug", false, "serve a debugger: print TF_REATTACH_PROVIDERS and wait for Terraform")
	flag.Parse()

	var life provider.Life
	err := providerserver.Serve(context.Background(), provider.New(version, provider.WithLife(&life)), providerserver.ServeOpts{
		Address:         provider.Address,
		Debug:           *debug,
		ProtocolVersion: 6,
	})
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	err = errors.Join(err, life.End(ctx))
	if err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-gaea:", err)
		os.Exit(1)
	}
}
