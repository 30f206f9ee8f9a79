resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web"
}

resource "gaea_job_template" "one_by_one" {
  name     = "one-by-one"
  batch    = { size = 1, max_failures = 0 }
  timeouts = { job = "15m" }
}

# Run when it is created, and again with each version. With the id of the group and of the template a change of theirs runs
# nothing; with their ref it would.
resource "gaea_job" "release" {
  name         = "release"
  target_group = gaea_target_group.web.id
  job_template = gaea_job_template.one_by_one.id
  function     = "cmd.run"
  args         = ["echo released 1.4.2"]
  triggers     = { version = "1.4.2" }
  on_interrupt = "cancel"

  on_destroy = {
    function   = "cmd.run"
    args       = ["echo withdrawn"]
    on_failure = "continue"
  }
}

# Without a target group and a template. What the minions return is JSON.
resource "gaea_job" "interfaces" {
  name     = "interfaces"
  target   = { match = "web*", match_type = "glob" }
  function = "network.interfaces"
}

output "interfaces" {
  value = { for minion, returned in gaea_job.interfaces.results : minion => jsondecode(returned) }
}
