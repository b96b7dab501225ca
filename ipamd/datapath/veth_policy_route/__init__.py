"""The datapath "ENI multi-IP, veth, policy route": a veth pair for each pod, rules to its ENI."""
