slow:
  cmd.run:
    - name: sleep 20
