import ArgumentParser
import ControlProtocol
import Leases
import Platform
import SanlockLeases

struct LockspaceStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the hosts of the lockspace.")

    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func run() throws {
        let settings = try settings.sanlock()
        let status = try working { _ throws(LeaseFailure) in
            sayWhereNoDaemonIs()
            return try LockspaceAdministration(settings: settings).status()
        }
        if json { return try show(status.json.prettyDescription + "\n") }
        var facts = [
            ("Lockspace", status.name), ("File", status.path),
            ("This host", status.hostId.map { "host id \($0)" } ?? "no host_id is set"),
            ("Joined", status.isJoined ? "yes" : "no"),
        ]
        if let clash = status.clash {
            let other = clash.usedBy ?? "another host"
            facts.append(
                (
                    "Clash",
                    status.isJoined
                        ? "\(clash.hostName) tried to join with the same host id at \(clash.time)"
                        : "\(other) used this host id at \(clash.time), when \(clash.hostName) tried to join with it"
                ))
        }
        var table = Table(["HOST ID", "NAME", "STATE", "LAST RENEWAL", "JOINED"])
        for host in status.hosts {
            table.add([
                String(host.id) + (host.isOwn ? " *" : ""), host.name ?? "-", host.state.rawValue, host.renewalText,
                host.generation == 1 ? "once" : "\(host.generation) times",
            ])
        }
        try show(factsText(facts) + "\n" + table.text)
    }
}

extension LockspaceHost {
    /// When it renewed last, as far as it can be told here.
    fileprivate var renewalText: String {
        let (least, most) = renewedSecondsAgo
        switch state {
        case .left, .unknown: return "-"
        case .live, .failing, .dead: break
        }
        guard let most else { return "over \(Int(least)) s ago" }
        if least == most { return "\(Int(least)) s ago" }
        return least == 0 ? "under \(Int(most)) s ago" : "\(Int(least)) to \(Int(most)) s ago"
    }
}

extension LockspaceStatus {
    /// All of it, for programs.
    fileprivate var json: JSON {
        var object = JSON.Object()
        object["lockspace"] = .string(name)
        object["path"] = .string(path)
        object["hostId"] = hostId.map { .integer(Int64(clamping: $0)) }
        object["joined"] = .bool(isJoined)
        if let clash {
            var note = JSON.Object()
            note["hostName"] = .string(clash.hostName)
            note["usedBy"] = clash.usedBy.map(JSON.string)
            note["time"] = .string(clash.time)
            object["clash"] = .object(note)
        }
        object["hosts"] = .array(
            hosts.map { host in
                var object = JSON.Object()
                object["hostId"] = .integer(Int64(clamping: host.id))
                object["hostName"] = host.name.map(JSON.string)
                object["state"] = .string(host.state.rawValue)
                object["own"] = .bool(host.isOwn)
                object["generation"] = .integer(Int64(clamping: host.generation))
                if host.state != .left, host.state != .unknown {
                    object["renewedAtLeast"] = .number(host.renewedSecondsAgo.least)
                    object["renewedAtMost"] = host.renewedSecondsAgo.most.map { .number($0) }
                }
                return .object(object)
            })
        return .object(object)
    }
}
