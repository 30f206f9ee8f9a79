# Web servers that are no canaries, in Salt's compound syntax.
resource "gaea_target_group" "web" {
  name        = "web"
  description = "Web servers without the canaries"
  match       = "G@role:web and not E@canary.*"
}

# Everything below one domain.
resource "gaea_target_group" "site" {
  name       = "site"
  match      = "web*"
  match_type = "glob"
}

# Two minions by name.
resource "gaea_target_group" "first" {
  name    = "first"
  minions = ["web1", "web2"]
}
