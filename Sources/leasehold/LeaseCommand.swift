import ArgumentParser

struct LeaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lease",
        abstract: "Look at the leases of the lease directory, and look after them.",
        subcommands: [
            LeaseList.self, LeaseShow.self, LeaseCleanupCommand.self, LeaseGrow.self, LeaseRepairCommand.self,
        ])
}
