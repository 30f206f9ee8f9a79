# What `make demo` applies: every web server serves the page and the settings below.

terraform {
  required_version = ">= 1.11"
  required_providers {
    gaea = {
      source = "gaea-salt/gaea"
    }
  }
}

# GAEA_ENDPOINT and GAEA_TOKEN say which jobd, and who asks.
provider "gaea" {}

resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web"
}

resource "gaea_job_template" "one_by_one" {
  name     = "one-by-one"
  batch    = { size = "1" }
  timeouts = { job = "10m" }
}

resource "gaea_state_assignment" "site" {
  name         = "site"
  target_group = gaea_target_group.web.ref
  job_template = gaea_job_template.one_by_one.ref
  states       = ["site"]
  pillar       = jsonencode({ site = { title = "Hello from Gaea" } })
}

output "drift" {
  value = gaea_state_assignment.site.drift
}
