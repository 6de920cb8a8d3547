import ArgumentParser
import Configuration
import ControlProtocol
import Glibc
import Leases
import EmulatorCommandLine
import Platform
import SanlockLeases
import Supervision

struct RequestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Ask the guest that holds a disk on another host to give it up.",
        discussion:
            "The holder hears of it with the next renewals of both hosts: up to four io timeouts and some seconds. A guest of "
            + "Leasehold's then does what its --on-lease-loss says: it is stopped in order, or it stands still and gives its "
            + "leases back until leasehold resume. Returns once that is asked, or with --wait when the lease is free.")

    enum Way: String, EnumerableFlag {
        case graceful, force

        static func help(for value: Way) -> ArgumentHelp? {
            switch value {
            case .graceful: "The guest does what its policy says (the default)."
            case .force: "The holder's sanlock daemon kills the supervisor, and the guest dies with it."
            }
        }
    }

    @Argument(
        help: "The disk's path, as guests are given it; or a lease, LOCKSPACE:RESOURCE:PATH:OFFSET.") var disk: String
    @Flag(exclusivity: .exclusive) var way = Way.graceful
    @Option(help: ArgumentHelp("How long to wait until the lease is free, such as 30s or 2m.", valueName: "duration"))
    var wait: String?
    @OptionGroup var settings: ConfigurationOptions
    @Flag(help: "Print an object.") var json = false

    func validate() throws {
        if let wait, parseDuration(wait) == nil {
            throw ValidationError("--wait '\(wait)' is no duration such as 30s or 2m")
        }
    }

    func run() throws {
        let settings = try settings.sanlock()
        let request = try request(settings)
        let mode: LeaseDemand.Mode = way == .force ? .force : .graceful
        let patience = wait.flatMap(parseDuration)
        let asking = LeaseAsking(settings: settings)
        let answer = try working { progress throws(LeaseFailure) in
            try LeaseDirectory.checkDaemon()
            return try RequestCourse(asking, asking.named(request), mode).run(waiting: patience, progress)
        }
        try show(answer, request, mode, patience)
    }

    // A path begins as one; three colons may be in it.
    private func request(_ settings: SanlockSettings) throws -> LeaseRequest {
        let isPath = disk.startsWithBytes(of: "/") || disk.startsWithBytes(of: ".") || disk.startsWithBytes(of: "file:")
        let isRemote = (try? NamedDisk(disk, in: nil))?.isRemote == true
        guard !isPath, !isRemote, disk.utf8.count(where: { $0 == UInt8(ascii: ":") }) >= 3 else {
            return settings.request(forDisk: try DiskArgument(disk).path, mode: .exclusive)
        }
        let request: LeaseRequest
        do throws(LeaseSpellingError) { request = try LeaseRequest(spelling: disk) } catch {
            throw ValidationError(
                "'\(disk)' is no lease LOCKSPACE:RESOURCE:PATH:OFFSET: \(error.problem); write a disk's path from / on")
        }
        guard request.mode == .exclusive else {
            throw ValidationError("'\(disk)' is a shared lease, and only a lease that one holder has can be asked for")
        }
        return request
    }

    private func show(
        _ answer: RequestCourse.Answer, _ request: LeaseRequest, _ mode: LeaseDemand.Mode, _ patience: Double?
    ) throws {
        let subject = request.subject.printable
        switch answer {
        case .missing:
            let path = request.resource.path
            throw Problem(
                Problem.notFound,
                request.disk == nil
                    ? "there is no \(subject) in \(path)"
                    : "\(subject) has no lease in \(path): no guest has used it since a clean-up")
        case .free:
            if json { return try show(object(request, "free", nil, mode, nil)) }
            try show("\(subject) is free: nobody holds its lease\n")
        case .here(let holder):
            let guest =
                holder.guest.map { "leasehold stop \($0.printable)" } ?? "leasehold list shows this host's guests"
            throw Problem(
                Problem.busy, "\(subject) is held on this host by \(holder.description.printable); \(guest)")
        case .shared(let holder):
            throw Problem(
                Problem.busy,
                "\(subject) is shared, by \(holder.description.printable) among others perhaps; sanlock passes no request on "
                    + "to those that share a lease: stop them there")
        case .dead(let holder):
            let when = holder.freeWithinSeconds.map { "in at most \(Int($0.rounded(.up))) s" } ?? "later"
            throw Problem(
                Problem.busy,
                "\(subject) was held by \(holder.description.printable), which is dead and hears nothing; it can be had \(when)"
            )
        case .asked(let holder, let version, let withinSeconds):
            if json { return try show(object(request, "asked", holder, mode, (version, withinSeconds))) }
            try show(
                "asked \(holder.description.printable) for \(subject): \(effect(on: holder, mode)) within "
                    + "\(Int(withinSeconds.rounded(.up))) s\n")
        case .givenUp(let holder):
            if json { return try show(object(request, "givenUp", holder, mode, nil)) }
            try show("\(holder.description.printable) has given up \(subject), which is free\n")
        case .handedOn(let holder, let next):
            throw Problem(
                Problem.busy,
                "\(holder.description.printable) has given up \(subject), and \(next.description.printable) has it by now"
            )
        case .kept(let holder):
            throw Problem(
                Problem.busy,
                "\(holder.description.printable) was asked for \(subject) and still has it after "
                    + "\(Int((patience ?? 0).rounded())) s; wait longer, or see to it there")
        }
    }

    private func effect(on holder: LeaseHolder, _ mode: LeaseDemand.Mode) -> String {
        switch (holder.record, mode) {
        case (.believed, .graceful):
            "its supervisor hears of it, and stops or pauses the guest as its --on-lease-loss says,"
        case (.believed, .force): "its sanlock daemon kills the supervisor, and the guest dies with it,"
        case (_, .graceful): "its sanlock daemon runs what that program has set for this, or sends it SIGTERM,"
        case (_, .force): "its sanlock daemon kills it"
        }
    }

    private func show(_ object: JSON) throws { try leasehold.show(object.prettyDescription + "\n") }

    private func show(_ text: String) throws { try leasehold.show(text) }

    private func object(
        _ request: LeaseRequest, _ state: String, _ holder: LeaseHolder?, _ mode: LeaseDemand.Mode,
        _ asked: (version: UInt64, withinSeconds: Double)?
    ) -> JSON {
        var object = JSON.Object()
        object["disk"] = request.disk.map(JSON.string)
        object["lease"] = .string("\(request.resource.lockspace):\(request.resource.name)")
        object["path"] = .string(request.resource.path)
        object["state"] = .string(state)
        if let holder {
            object["mode"] = .string(mode.rawValue)
            object["hostId"] = holder.hostId.map { .integer(Int64(clamping: $0)) }
            object["hostName"] = holder.hostName.map(JSON.string)
            object["liveness"] = .string(holder.liveness.rawValue)
            object["guest"] = holder.guest.map(JSON.string)
            object["uuid"] = holder.uuid.map(JSON.string)
            object["record"] = .string(holder.recordWord)
        }
        if let asked {
            object["version"] = .integer(Int64(clamping: asked.version))
            object["toldWithin"] = .number(asked.withinSeconds)
        }
        return .object(object)
    }
}
