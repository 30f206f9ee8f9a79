resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web"
}

resource "gaea_job_template" "rolling" {
  name     = "rolling"
  batch    = { size = "10%" }
  timeouts = { job = "30m" }
}

# Keeps the states of nginx.sls true on the web servers.
resource "gaea_state_assignment" "nginx" {
  name         = "nginx"
  target_group = gaea_target_group.web.ref
  job_template = gaea_job_template.rolling.ref
  states       = ["nginx"]
  pillar       = jsonencode({ nginx = { workers = 4 } })

  drift_check = {
    max_age  = "1h"  # a plan asks the minions again where jobd saw nothing newer
    interval = "30m" # and jobd looks by itself this often
    ignore   = ["cmd.run:*"]
  }
}

# Only tells whether the states of sshd.sls are true, and never changes anything.
resource "gaea_state_assignment" "sshd" {
  name         = "sshd"
  target_group = gaea_target_group.web.id
  states       = ["sshd"]
  remediate    = false
}

output "sshd_drift" {
  value = gaea_state_assignment.sshd.drift
}
