import ArgumentParser
import ControlProtocol
import Leases
import Platform
import SanlockLeases

struct LockspaceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lockspace",
        abstract: "Look at the hosts that share the lease directory, and join or leave them.",
        discussion: "A start makes and joins the lockspace by itself.",
        subcommands: [LockspaceInit.self, LockspaceJoin.self, LockspaceLeave.self, LockspaceStatusCommand.self])
}

struct LockspaceInit: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make the lockspace's file, unless it is there.")

    @Flag(
        name: .customLong("i-know-nobody-uses-it"),
        help: "Also where leases are held that were taken through a lockspace that is lost.")
    var isKnownUnused = false
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let isForced = isKnownUnused
        let isMade = try working { progress throws(LeaseFailure) in
            try LockspaceAdministration(settings: settings).initialize(force: isForced, progress: progress)
        }
        if json { return try show(fact("made", .bool(isMade))) }
        try show(
            "lockspace \(LeaseName.lockspace) in \(settings.leaseDirectory.printable) \(isMade ? "made" : "is there already")\n"
        )
    }
}

struct LockspaceJoin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "join", abstract: "Join the lockspace as this host.",
        discussion: "Takes three io timeouts; more than eight and a minute where this host's id was not given back.")

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let isNew = try working { progress throws(LeaseFailure) in
            try LockspaceAdministration(settings: settings).join(progress: progress)
        }
        if json { return try show(fact("new", .bool(isNew))) }
        let hostId = settings.hostId.map(String.init) ?? "?"
        try show("\(isNew ? "joined" : "had joined") lockspace \(LeaseName.lockspace) as host id \(hostId)\n")
    }
}

struct LockspaceLeave: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leave", abstract: "Leave the lockspace; refused while guests of this host hold leases in it.")

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let wasJoined = try working { progress throws(LeaseFailure) in
            progress(LeaseProgress("leaving lockspace \(LeaseName.lockspace)", secondsAtMost: nil))
            return try LockspaceAdministration(settings: settings).leave()
        }
        if json { return try show(fact("left", .bool(wasJoined))) }
        try show("\(wasJoined ? "left" : "had not joined") lockspace \(LeaseName.lockspace)\n")
    }
}
