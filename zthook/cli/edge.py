"""``zthook edge``: the commands of the machine that holds the public addresses."""

from zthook.cli.commands import LazyGroup

edge = LazyGroup(
    "edge",
    {
        "host": ("zthook.cli.edge_host:host", "Invite, approve, list, rotate and remove hosts."),
        "init": ("zthook.cli.edge_init:init", "Make this machine an edge."),
        "log": ("zthook.cli.edge_log:log", "Who had which address when."),
        "mappings": ("zthook.cli.edge_mappings:mappings", "Every claim, and what became of it."),
        "pool": ("zthook.cli.edge_pool:pool", "List, add and remove pools of addresses."),
        "release": ("zthook.cli.edge_mappings:release", "End the reservation of an address."),
        "rules": ("zthook.cli.edge_rules:rules", "Print the constant rules for early boot."),
        "serve": ("zthook.cli.edge_serve:serve", "Run the edge's daemon."),
        "status": ("zthook.cli.edge_status:status", "Everything at one look."),
        "web": ("zthook.cli.edge_web:web", "Where the web page is, and its token."),
    },
    help=(
        "Set up, run and look at an edge: the machine that holds the public addresses.\n\n"
        "All but init, serve and rules ask the running daemon."
    ),
    example="zthook edge init --zerotier b87d70f46bc5c578 --pool hk=203.0.113.10-203.0.113.14",
)
