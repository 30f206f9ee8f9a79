resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web"
}

resource "gaea_state_assignment" "nginx" {
  name         = "nginx"
  target_group = gaea_target_group.web.ref
  states       = ["nginx"]
}

# What came of the last apply, minion by minion. Jobs that somebody else ran are read by their jid.
data "gaea_job_result" "last" {
  run_id  = gaea_state_assignment.nginx.last_run_id
  wait    = true
  timeout = "10m"
}

output "outcomes" {
  value = data.gaea_job_result.last.outcomes
}
