import ControlProtocol
import EmulatorCommandLine
import GuestDirectory
import Leases
import Platform
import QEMUMonitor
import Supervision

/// Leases that come and go while the guest runs.
final class LeaseChanges {
    /// What an order has taken, until it is the guest's or given back.
    var taken: TakenLeases?
    /// What is being given back.
    var leaving: [LeaseRequest] = []
    /// What is neither held nor free, or of a version that is about to change: looks leave it out.
    var unsettled: [LeaseResource] = []
    /// Whether the guest's monitor was asked what the guest has open.
    var isAsking = false
}

/// What came of taking leases on top.
struct TakenLeases: Sendable {
    /// Those that the guest had none of.
    var new: [HeldLease]
    /// Those that it held in the other way, as they are held now.
    var converted: [HeldLease]

    var all: [HeldLease] { new + converted }
}

extension Supervisor {
    /// Those that a look may find held, and under their versions.
    var settledLeases: [HeldLease] {
        leases.filter { !changes.unsettled.contains($0.request.resource) }
    }

    private func unsettle(_ requests: [LeaseRequest]) {
        changes.unsettled = requests.map(\.resource)
        // One that is under way may see them either way.
        watch.isStale = watch.isStale || watch.isLooking
    }

    // MARK: - Taking

    func takeMore(_ requests: [LeaseRequest]) {
        let resources = leases.map(\.request.resource)
        let new = requests.filter { request in !resources.contains { $0.hasName(of: request.resource) } }
        // What may be refused comes first: the other way can always be gone back.
        let converted = requests.filter { request in
            leases.contains { $0.request.resource.hasName(of: request.resource) && $0.request.mode != request.mode }
        }.sorted { $0.mode == .exclusive && $1.mode != .exclusive }
        unsettle(converted)
        let alone = converted.filter { $0.mode == .exclusive }
        worker.perform { [driver, progress, plan] in
            .more(
                Result { () throws(LeaseFailure) in
                    let held = new.isEmpty ? [] : try driver.acquire(new) { progress.note($0) }
                    do throws(LeaseFailure) {
                        if let failure = Supervisor.takeDevices(of: new, for: plan) { throw failure }
                        let taken = TakenLeases(new: held, converted: try Supervisor.convert(converted, by: driver))
                        // Others may share the device by another name.
                        if let failure = Supervisor.takeDevices(of: alone, for: plan) {
                            for lease in taken.converted {
                                _ = try? driver.convert(lease.request, to: lease.request.mode.other)
                            }
                            throw failure
                        }
                        Supervisor.shareDevices(of: converted.filter { $0.mode == .shared }, for: plan)
                        return taken
                    } catch {
                        Supervisor.leaveDevices(of: new, for: plan)
                        Supervisor.shareDevices(of: alone, for: plan)
                        try? driver.release(new)
                        throw error
                    }
                })
        }
    }

    private static func convert(_ requests: [LeaseRequest], by driver: Driver) throws(LeaseFailure) -> [HeldLease] {
        var done: [HeldLease] = []
        do throws(LeaseFailure) {
            for request in requests { done.append(try driver.convert(request, to: request.mode)) }
            return done
        } catch {
            for lease in done { _ = try? driver.convert(lease.request, to: lease.request.mode.other) }
            throw error
        }
    }

    private static func takeDevices(of requests: [LeaseRequest], for plan: GuestPlan) -> LeaseFailure? {
        conflict(among: requests) { () throws(SystemError) in try plan.devices?.take(more: devices(of: requests)) }
    }

    private static func leaveDevices(of requests: [LeaseRequest], for plan: GuestPlan) {
        plan.devices?.leave(devices(of: requests).map(\.path))
    }

    private static func shareDevices(of requests: [LeaseRequest], for plan: GuestPlan) {
        plan.devices?.share(devices(of: requests).map(\.path))
    }

    private static func devices(of requests: [LeaseRequest]) -> [DeviceClaim.Disk] {
        requests.compactMap { request in
            guard let disk = request.disk, disk.startsWithBytes(of: "/") else { return nil }
            return DeviceClaim.Disk(path: disk, isShared: request.mode == .shared, isOpenedByCommand: true)
        }
    }

    func moreTaken(_ result: Result<TakenLeases, LeaseFailure>) {
        switch result {
        case .success(let taken):
            changes.taken = taken
            handle(.moreTaken)
        case .failure(let failure):
            changes.unsettled = []
            handle(.moreRefused(.leases(failure), nowSeconds: Clock.monotonicSeconds()))
        }
    }

    func keepTaken() {
        guard let taken = changes.taken else { return }
        changes.taken = nil
        changes.unsettled = []
        let before = replaceLeases(by: taken.converted)
        if leases.isEmpty { watch.sinceSeconds = Clock.monotonicSeconds() }
        leases += taken.new
        leaseState = .held
        worker.perform { [driver, holder = holder()] in
            // Those that share a lease have a record each, by another name.
            driver.removeRecords(before)
            driver.record(taken.all, holder: holder)
            return .nothing
        }
        for lease in taken.all { emit(.attached, Supervisor.detail(of: lease)) }
        writeState()
    }

    // Nobody waits for them any more.
    func dropTaken() {
        guard let taken = changes.taken else { return }
        changes.taken = nil
        worker.perform { [driver, plan] in
            Supervisor.leaveDevices(of: taken.new.map(\.request), for: plan)
            try? driver.release(taken.new.map(\.request))
            return .convertedBack(taken.converted.map { Supervisor.convertBack($0, by: driver, for: plan) })
        }
    }

    // Somebody may share it by now, on this host or another: then it stays shared.
    private static func convertBack(_ lease: HeldLease, by driver: Driver, for plan: GuestPlan) -> HeldLease {
        guard let old = try? driver.convert(lease.request, to: lease.request.mode.other) else { return lease }
        if old.request.mode == .shared {
            shareDevices(of: [old.request], for: plan)
        } else if takeDevices(of: [old.request], for: plan) != nil {
            return (try? driver.convert(old.request, to: .shared)) ?? old
        }
        return old
    }

    // Returns those that were the guest's before.
    private func replaceLeases(by converted: [HeldLease]) -> [HeldLease] {
        var before: [HeldLease] = []
        for index in leases.indices {
            let resource = leases[index].request.resource
            guard let lease = converted.first(where: { $0.request.resource.hasName(of: resource) }) else { continue }
            before.append(leases[index])
            leases[index] = lease
        }
        return before
    }

    func convertedBack(_ back: [HeldLease]) {
        changes.unsettled = []
        // Given back or lost meanwhile, nothing of it is the guest's: it takes again what it had.
        guard leaseState == .held else { return }
        let before = replaceLeases(by: back)
        worker.perform { [driver, holder = holder()] in
            driver.removeRecords(before)
            driver.record(back, holder: holder)
            return .nothing
        }
        if !leases.isEmpty { lookAtLeases(isUrged: false) }
    }

    private static func detail(of lease: HeldLease) -> [WireEvent.Detail] {
        let resource = lease.request.resource
        return [
            lease.request.disk.map { .init("disk", $0) }, .init("lease", "\(resource.lockspace):\(resource.name)"),
            .init("mode", lease.request.mode.rawValue), lease.version.map { .init("version", String($0)) },
        ].compactMap { $0 }
    }

    // MARK: - Giving back

    /// What the guest still has open for writing is not given back, whatever the caller believes.
    func giveSomeBack(_ requests: [LeaseRequest]) {
        changes.leaving = requests
        guard plan.monitorPath != nil, requests.contains(where: { $0.disk != nil }) else { return releaseLeaving() }
        changes.isAsking = true
        // One that starts, or is away for a moment, is asked when it is there.
        if monitor.connection?.conversation.isReady == true { ask(.queryBlockNodes, .nodes) }
    }

    func take(_ nodes: [MonitorNode]) {
        guard changes.isAsking else { return }
        changes.isAsking = false
        for disk in changes.leaving.compactMap(\.disk) {
            for node in nodes where !node.isReadOnly {
                let why: String
                switch node.names(disk, in: Directory.current) {
                case true?:
                    why = "QEMU has it open as node \(node.name); unplug it there first (device_del, blockdev-del)"
                // The kernel tells of a path. A file's name may have a password in it.
                case nil where !disk.startsWithBytes(of: "/"):
                    why = "QEMU has node \(node.name) open, and names its file so that it may be this one"
                case false?, nil: continue
                }
                return refuseLeaving(.unusable(disk, why: why))
            }
        }
        // Whoever asked is not there any more.
        if pendingOrder == nil { return refuseLeaving(.silent) }
        releaseLeaving()
    }

    func refuseLeaving(_ refusal: OrderRefusal) {
        changes.isAsking = false
        changes.leaving = []
        changes.unsettled = []
        handle(.moreRefused(refusal, nowSeconds: Clock.monotonicSeconds()))
    }

    private func releaseLeaving() {
        let requests = changes.leaving
        unsettle(requests)
        let leaving = leases.filter { requests.contains($0.request) }
        worker.perform {
            [driver, plan, holder = holder(), guest = keeper.flatMap { ProcessIdentity(runningAs: $0.pid) }] in
            for disk in requests.compactMap(\.disk) where disk.startsWithBytes(of: "/") {
                switch guest.flatMap({ OpenFiles.areWritten(disk, below: $0) }) {
                case false?: continue
                case true?:
                    return .noneGone(.unusable(disk, why: "a process of the guest has it open to write"))
                case nil:
                    // Then QEMU has said that it is gone.
                    if plan.monitorPath != nil { continue }
                    let why =
                        "what the guest's processes have open can't be seen, and there is no monitor to ask; run the supervisor "
                        + "as root, or give it --qmp"
                    return .noneGone(.unusable(disk, why: why))
                }
            }
            do throws(LeaseFailure) {
                driver.removeRecords(leaving)
                try driver.release(requests)
                Supervisor.leaveDevices(of: requests, for: plan)
                return .someGone(requests, nil)
            } catch {
                let isKept = { (request: LeaseRequest) in
                    error.kept.contains { $0.resource.hasName(of: request.resource) }
                }
                let gone = requests.filter { !isKept($0) }
                driver.record(leaving.filter { isKept($0.request) }, holder: holder)
                Supervisor.leaveDevices(of: gone, for: plan)
                return .someGone(gone, error)
            }
        }
    }

    /// What the daemon doesn't hold for the guest any more is its no more, whether or not it could be marked free: it has no such
    /// disk, and nothing is lost.
    func someGone(_ requests: [LeaseRequest], _ failure: LeaseFailure?) {
        let gone = leases.filter { requests.contains($0.request) }
        changes.leaving = []
        changes.unsettled = []
        leases.removeAll { requests.contains($0.request) }
        for lease in gone { emit(.detached, Supervisor.detail(of: lease)) }
        var failure = failure
        // Nothing was wrong with what was asked for.
        failure?.outcome = .other
        if let failure {
            if !failure.adrift.isEmpty { isOneUnmarked = true }
            note(.error, "\(failure.request?.subject ?? "the leases"): \(failure.detail)")
        }
        writeState()
        handle(.someReleased(areAnyLeft: !leases.isEmpty, problem: failure.map(OrderRefusal.leases)))
    }
}

extension LeaseMode {
    fileprivate var other: LeaseMode { self == .shared ? .exclusive : .shared }
}

extension MonitorNode {
    /// Whether its file is this disk, as QEMU spells it; nil: that can't be read.
    fileprivate func names(_ disk: String, in folder: String) -> Bool? {
        let plain = file.startsWithBytes(of: "file:") ? String(decoding: file.utf8.dropFirst(5), as: UTF8.self) : file
        if plain.hasSameBytes(as: disk) { return true }
        let opened = NamedDisk.all(openedAs: file, in: folder)
        if opened?.contains(where: { $0.hasSameBytes(as: disk) }) == true { return true }
        if file.startsWithBytes(of: "json:"), let json = try? JSON(parsing: Array(file.utf8.dropFirst(5))),
            MonitorNode.values(of: json).contains(where: { $0.hasSameBytes(as: disk) })
        {
            return true
        }
        return opened == nil ? nil : false
    }

    private static func values(of json: JSON) -> [String] {
        switch json {
        case .string(let text): [text]
        case .array(let elements): elements.flatMap(values)
        case .object(let object): object.members.flatMap { values(of: $0.value) }
        case .null, .bool, .integer, .number: []
        }
    }
}
