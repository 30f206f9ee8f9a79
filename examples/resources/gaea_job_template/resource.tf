# For state assignments: a tenth of the minions at a time.
resource "gaea_job_template" "rolling" {
  name     = "rolling"
  batch    = { size = "10%" }
  timeouts = { job = "30m", gather = "10s" }
}

# For runs: what to run, too.
resource "gaea_job_template" "free_space" {
  name     = "free-space"
  function = "disk.usage"
  args     = ["/var"]
}

resource "gaea_job_template" "greeting" {
  name        = "greeting"
  description = "Writes a greeting with one minion after the other"
  function    = "cmd.run"
  args        = ["echo hello from $(hostname)"]
  kwargs      = jsonencode({ python_shell = true, timeout = 10 })
  batch       = { size = "1" }
}
