// Package acctest tests Gaea as users have it: a real Terraform, the real provider, a real jobd and a real Salt. Its tests
// share one lab and one jobd, and each uses names and states of its own.
package acctest
