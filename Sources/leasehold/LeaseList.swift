import ArgumentParser
import ControlProtocol
import Leases
import Platform
import SanlockLeases

struct LeaseList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the leases of the lease directory, and who holds them.",
        discussion: "The disk is known of leases whose holder left a record; a lease that was never held has none.")

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an array of objects.") var json = false

    func run() throws {
        let directory = LeaseDirectory(settings: try settings.sanlock())
        let entries = try working { progress throws(LeaseFailure) in
            sayWhereNoDaemonIs()
            return try directory.entries { progress(bar("leases", $0, of: $1)) }
        }
        .sorted { ($0.disk == nil ? 1 : 0, $0.disk ?? $0.name) < ($1.disk == nil ? 1 : 0, $1.disk ?? $1.name) }
        if json { return try show(JSON.array(entries.map(\.json)).prettyDescription + "\n") }
        var table = Table(["DISK", "LEASE", "MODE", "HOST", "GUEST", "SINCE", "STATE"])
        for entry in entries {
            table.add([
                entry.disk?.printable ?? "-", entry.name, entry.mode?.rawValue ?? "-", entry.holder?.host ?? "-",
                entry.holder?.guest?.printable ?? "-", entry.holder?.since?.printable ?? "-", entry.stateText,
            ])
        }
        try show(table.text)
    }
}

struct LeaseShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the lease of a disk, and who holds it.")

    @Argument(help: "The disk's path, as guests are given it.") var disk: String
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let directory = LeaseDirectory(settings: try settings.sanlock())
        let disk = try DiskArgument(disk).path
        let entry = try working { _ throws(LeaseFailure) in
            sayWhereNoDaemonIs()
            return try directory.entry(ofDisk: disk)
        }
        guard entry.state != .missing else {
            throw Problem(
                Problem.notFound, "\(disk) has no lease in \(entry.path): no guest has used it since a clean-up")
        }
        if entry.state == .unreadable {
            throw Problem(Problem.cantCreate, "lease file \(entry.path) \(entry.problem ?? "can't be read")")
        }
        if json { return try show(entry.json.prettyDescription + "\n") }
        var facts: [(String, String)] = [
            ("Disk", disk), ("Lease", entry.name), ("File", entry.path), ("State", entry.stateText),
        ]
        if let holder = entry.holder {
            facts.append(("Mode", entry.mode?.rawValue ?? "-"))
            facts.append(("Host", holder.host))
            facts.append(("Guest", holder.guest ?? "- (\(holder.recordText))"))
            if let uuid = holder.uuid { facts.append(("UUID", uuid)) }
            if let pid = holder.pid { facts.append(("Supervisor", String(pid))) }
            if let since = holder.since { facts.append(("Since", since)) }
        }
        if entry.sharingHosts.count > 1 {
            facts.append(("Shared by", "host ids " + entry.sharingHosts.map(String.init).joined(separator: ", ")))
        }
        if let version = entry.version { facts.append(("Version", String(version))) }
        if let hosts = entry.hosts { facts.append(("Room for", "host ids up to \(hosts)")) }
        try show(factsText(facts))
    }
}

/// Without a daemon, hosts can't be told to live. What the storage says is told all the same.
func sayWhereNoDaemonIs() {
    do throws(LeaseFailure) { try LeaseDirectory.checkDaemon() } catch {
        try? Files.write(Array("leasehold: \(error.detail); nobody can say here which hosts live\n".utf8), to: 2)
    }
}

extension LeaseEntry {
    /// The state in words.
    var stateText: String {
        switch state {
        case .held where holder?.record == .stale: "held (stale record)"
        case .held where holder?.liveness == .unknown: "held (host not known to be alive)"
        case .dead:
            holder?.freeWithinSeconds.map { "host dead, free in at most \(Int($0.rounded(.up))) s" } ?? "host dead"
        case .damaged, .unformatted, .unreadable: problem.map { "\(state.rawValue): it \($0)" } ?? state.rawValue
        case .held, .free, .missing: state.rawValue
        }
    }

    /// All of it, for programs.
    var json: JSON {
        var object = JSON.Object()
        object["disk"] = disk.map(JSON.string)
        object["lease"] = .string(name)
        object["path"] = .string(path)
        object["state"] = .string(state.rawValue)
        object["mode"] = mode.map { .string($0.rawValue) }
        if let holder {
            object["hostId"] = holder.hostId.map { .integer(Int64(clamping: $0)) }
            object["hostName"] = holder.hostName.map(JSON.string)
            object["liveness"] = .string(holder.liveness.rawValue)
            object["guest"] = holder.guest.map(JSON.string)
            object["uuid"] = holder.uuid.map(JSON.string)
            object["pid"] = holder.pid.map { .integer(Int64($0)) }
            object["since"] = holder.since.map(JSON.string)
            object["record"] = .string(holder.recordWord)
            object["freeWithin"] = holder.freeWithinSeconds.map { .number($0) }
        }
        if !sharingHosts.isEmpty {
            object["sharedBy"] = .array(sharingHosts.map { .integer(Int64(clamping: $0)) })
        }
        object["version"] = version.map { .integer(Int64(clamping: $0)) }
        object["hosts"] = hosts.map { .integer(Int64($0)) }
        object["problem"] = problem.map(JSON.string)
        return .object(object)
    }
}

extension LeaseHolder {
    /// The host, in a table.
    var host: String {
        let id = hostId.map(String.init) ?? "?"
        return hostName.map { "\($0.printable) (\(id))" } ?? id
    }

    /// The same for programs.
    var recordWord: String {
        switch record {
        case .believed: "believed"
        case .stale: "stale"
        case .missing, .never: "none"
        }
    }

    /// What the record is worth.
    var recordText: String {
        switch record {
        case .believed: "believed"
        case .stale: "stale record"
        case .missing, .never: "no record: not Leasehold's"
        }
    }
}
