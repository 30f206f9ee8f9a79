// Command openapi writes the OpenAPI document of jobd's API to the file that it is given. The document depends on the source
// alone.
package main

import (
	"fmt"
	"os"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/api"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: openapi FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], api.New(api.Deps{}).OpenAPI(), 0o644); err != nil { //nolint:gosec // a document of the repository, for everybody
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
