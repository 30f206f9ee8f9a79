package provider

import "github.com/gaea-salt/terraform-provider-gaea/internal/expect"

// checkExpectation says whether an expectation compiles, and where it does not.
func checkExpectation(text string) error {
	_, err := expect.Compile(text)
	return err
}
