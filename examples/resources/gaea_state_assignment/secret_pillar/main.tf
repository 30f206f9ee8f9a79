# In no plan and no state: given anew for every command, for example as TF_VAR_session_key.
variable "session_key" {
  type      = string
  ephemeral = true
}

resource "gaea_target_group" "web" {
  name  = "web"
  match = "G@role:web"
}

resource "gaea_state_assignment" "app" {
  name              = "app"
  target_group      = gaea_target_group.web.ref
  states            = ["app"]
  pillar            = jsonencode({ app = { port = 8080 } })
  pillar_wo         = jsonencode({ app = { session_key = var.session_key } })
  pillar_wo_version = "1" # another one whenever the key is another one

  drift_check = { detail = "names" } # the diff of its file would show the key
}
