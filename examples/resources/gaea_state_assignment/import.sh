# A state assignment is imported by its name.
terraform import gaea_state_assignment.nginx nginx
