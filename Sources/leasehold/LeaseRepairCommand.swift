import ArgumentParser
import ControlProtocol
import Leases
import Platform
import SanlockLeases

struct LeaseGrow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grow", abstract: "Make room in a disk's lease for hosts with higher ids.",
        discussion: "To be run on a host whose id fits, while no guest uses the disk.")

    @Argument(help: "The disk's path, as guests are given it.") var disk: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let disk = try DiskArgument(disk).path
        let hosts = try working { progress throws(LeaseFailure) in
            try LeaseRepair(LeaseDirectory(settings: settings)).grow(disk: disk, progress: progress)
        }
        if json { return try show(fact("hosts", .integer(Int64(hosts)))) }
        try show("the lease of \(disk.printable) has room for host ids up to \(hosts)\n")
    }
}

struct LeaseRepairCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Put a new lease in the place of one that is damaged.",
        discussion:
            "Whoever holds the damaged one goes on without knowing. Run it only when no guest on any host uses the "
            + "disk.")

    @Argument(help: "The disk's path, as guests are given it.") var disk: String
    @Flag(name: .customLong("i-know-nobody-uses-it"), help: "Needed: nobody else can know.") var isKnownUnused = false
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let disk = try DiskArgument(disk).path
        guard isKnownUnused else {
            throw ValidationError(
                "a repair gives the disk away under whoever uses it; make sure that no guest on any host does, then add "
                    + "--i-know-nobody-uses-it")
        }
        let isRepaired = try working { _ throws(LeaseFailure) in
            try LeaseRepair(LeaseDirectory(settings: settings)).repair(disk: disk)
        }
        if json { return try show(fact("repaired", .bool(isRepaired))) }
        let end = isRepaired ? "is new" : "is in order; nothing was done"
        try show("the lease of \(disk.printable) \(end)\n")
    }
}
