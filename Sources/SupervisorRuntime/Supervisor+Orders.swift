import ControlProtocol
import EmulatorCommandLine
import Leases
import Platform
import Supervision

/// An order that the control socket brought, until it is answered.
final class PendingOrder {
    let order: Order
    /// What is answered when it is done.
    let kind: Kind
    /// Who waits for the answer; nil once that one is gone, or where no answer was wanted.
    var client: ControlClient?

    enum Kind {
        case nothing
        /// The leases of these disks and names.
        case leases([LeaseRequest])
        case ticket(uri: String?)
    }

    init(_ order: Order, _ kind: Kind, client: ControlClient?) {
        self.order = order
        self.kind = kind
        self.client = client
    }
}

// What the control socket asks for in a guest's life: made an order, and answered when that is done or refused.
extension Supervisor {
    /// Nil: the answer comes when what was asked for is done.
    func reply(toOrder call: Call, from client: ControlClient?) -> Reply? {
        do throws(ControlError) {
            switch call {
            case .acquire(let disks, let leases, let waitSeconds):
                let requests = try requests(disks, leases)
                if requests.isEmpty { return .acquired([]) }
                return give(.attach(requests, waitSeconds: waitSeconds ?? 0), .leases(requests), from: client)
            case .release(let disks, let leases):
                let requests = try held(disks, leases)
                return requests.isEmpty ? .empty : give(.detach(requests), from: client)
            case .suspend(let release): return give(.suspend(release: release), from: client)
            case .resume: return give(.resume, from: client)
            case .prepareMigrate(let uri):
                // Later on it stands still as it has been migrated.
                if !supervision.isLeaving { monitor.ranBeforeLeaving = monitor.isGuestRunning ?? true }
                let reply = give(.prepareToLeave, .ticket(uri: uri), from: client)
                leavingFor = uri
                return reply
            case .completeMigrateOut(cancel: false):
                return give(.leave, .ticket(uri: leavingFor), from: client)
            case .completeMigrateOut(cancel: true): return comeBack(client)
            case .completeMigrateIn(nil, cancel: false) where leases.isEmpty:
                return give(.arrive([], goesOn: true), from: client)
            case .completeMigrateIn(let ticket, cancel: false):
                let ticket = try read(ticket)
                return give(.arrive(try expected(ticket), goesOn: ticket.running), from: client)
            case .completeMigrateIn(_, cancel: true): return goAway(client)
            default: return .error(.methodNotImplemented(method: call.method))
            }
        } catch {
            return .error(error)
        }
    }

    private func give(_ order: Order, _ kind: PendingOrder.Kind = .nothing, from client: ControlClient?) -> Reply? {
        guard pendingOrder == nil else { return .error(error(for: .underWay)) }
        pendingOrder = PendingOrder(order, kind, client: client)
        handle(.ordered(order))
        return nil
    }

    // A source that waits for the end of its migration is called back by whoever knows better.
    private func comeBack(_ client: ControlClient?) -> Reply? {
        if case .leave? = pendingOrder?.order { handle(.orderAbandoned) }
        let kind = PendingOrder.Kind.ticket(uri: leavingFor)
        return give(.comeBack, kind, from: client)
    }

    // The target of a migration that failed has nothing to go on with.
    private func goAway(_ client: ControlClient?) -> Reply? {
        guard case .paused(let paused) = supervision.state, paused.purpose == .arrival else {
            return .error(.wrongState(state: wireState.rawValue))
        }
        if let client { departures.append(client) }
        handle(.killRequested)
        return nil
    }

    /// Whoever waits is gone.
    func forgetOrder(of client: ControlClient) {
        departures.removeAll { $0 === client }
        if migration?.client === client { abandonMigration() }
        if pendingUpgrade?.client === client { abandonUpgrade() }
        guard let pending = pendingOrder, pending.client === client else { return }
        pending.client = nil
        handle(.orderAbandoned)
    }

    func completeOrder() {
        guard let pending = pendingOrder else { return }
        pendingOrder = nil
        guard let client = pending.client else { return }
        switch pending.kind {
        case .nothing: answer(client, .empty)
        case .leases(let requests):
            let resources = requests.map(\.resource)
            answer(client, .acquired(leases.filter { resources.contains($0.request.resource) }.map(wire)))
        case .ticket(let uri): answer(client, .ticket(ticket(uri: uri).json))
        }
    }

    func refuseOrder(_ refusal: OrderRefusal) {
        guard let pending = pendingOrder else { return }
        pendingOrder = nil
        if let client = pending.client { answer(client, .error(error(for: refusal))) }
        // It waited for a monitor that doesn't come.
        if changes.isAsking, !monitor.questions.values.contains(.nodes) { refuseLeaving(.silent) }
    }

    func error(for refusal: OrderRefusal) -> ControlError {
        switch refusal {
        case .wrongState: .wrongState(state: wireState.rawValue)
        case .ended: .wrongState(state: WireStatus.State.exited.rawValue)
        case .leasesLost: .leaseLost
        case .leases(let failure): ControlError(failure)
        case .unusable(let resource, let why): .invalidResource(resource: resource, why: why)
        case .underWay: .unavailable(why: "something else that was asked of the guest is still under way")
        case .notStill:
            .unavailable(why: "the guest can't be made to stand still; its supervisor's log says why")
        case .silent: .unavailable(why: "the sanlock daemon or the guest's monitor does not answer")
        case .noMonitor:
            .unavailable(why: "the guest has no monitor that its supervisor could use; start it with --qmp")
        }
    }

    // MARK: - Disks and leases by name

    // The strongest of several modes of one disk counts.
    private func requests(_ disks: [WireDisk], _ spellings: [String]) throws(ControlError) -> [LeaseRequest] {
        var requests: [LeaseRequest] = []
        func add(_ request: LeaseRequest) {
            if let index = requests.firstIndex(where: { $0.resource.hasName(of: request.resource) }) {
                if request.mode == .exclusive { requests[index].mode = .exclusive }
            } else {
                requests.append(request)
            }
        }
        for spelling in spellings { add(try request(spelling)) }
        for disk in disks {
            let path = try diskPath(disk.path)
            let lease = driver.request(forDisk: path, mode: disk.mode == .shared ? .shared : .exclusive)
            if disk.mode == .readonly {
                if let lease, leases.contains(where: { $0.request.resource.hasName(of: lease.resource) }) {
                    throw .invalidResource(
                        resource: path, why: "the guest has a lease of it, to write it; detach it first")
                }
            } else if let lease {
                add(lease)
            } else if driver.name == "sanlock" {
                throw .invalidResource(
                    resource: path,
                    why: "disks have no leases of their own here (auto_disk_leases is 0); attach its lease")
            }
        }
        return requests
    }

    private func request(_ spelling: String) throws(ControlError) -> LeaseRequest {
        do throws(LeaseSpellingError) { return try LeaseRequest(spelling: spelling) } catch {
            throw .invalidResource(
                resource: spelling, why: "\(error.problem); write LOCKSPACE:RESOURCE:PATH:OFFSET[:SH]")
        }
    }

    private func diskPath(_ text: String) throws(ControlError) -> String {
        do throws(NamedDisk.Problem) { return try NamedDisk(text, in: nil).path } catch {
            throw .invalidResource(resource: text, why: error.reason)
        }
    }

    private func held(_ disks: [String], _ spellings: [String]) throws(ControlError) -> [LeaseRequest] {
        var requests: [LeaseRequest] = []
        func add(_ lease: HeldLease?, _ name: String) throws(ControlError) {
            guard let lease else {
                if driver.name == "nop" { return }
                throw .invalidResource(resource: name, why: "the guest has no lease of it; see its status")
            }
            if !requests.contains(lease.request) { requests.append(lease.request) }
        }
        func lease(of disk: String) -> HeldLease? { leases.first { $0.request.disk?.hasSameBytes(as: disk) == true } }
        for disk in disks {
            // As the status shows it, else as a command would name it.
            if let lease = lease(of: disk) {
                try add(lease, disk)
            } else {
                let path = try diskPath(disk)
                try add(lease(of: path), path)
            }
        }
        for spelling in spellings {
            let wanted = try request(spelling)
            try add(leases.first { $0.request.resource.hasName(of: wanted.resource) }, spelling)
        }
        return requests
    }

    // MARK: - Tickets

    private func ticket(uri: String?) -> WireTicket {
        let disks = leases.compactMap { lease in
            lease.request.disk.map { WireDisk(path: $0, mode: lease.request.mode == .shared ? .shared : .exclusive) }
        }
        return WireTicket(
            name: plan.name.text, uuid: plan.uuid, uri: uri,
            running: !supervision.stoodBeforeLeaving && monitor.ranBeforeLeaving, disks: disks,
            leases: leases.map(wire))
    }

    private func read(_ json: JSON?) throws(ControlError) -> WireTicket {
        guard let json else { throw .invalidParameter(parameter: "ticket") }
        do throws(WireError) { return try WireTicket(json: json) } catch {
            throw .invalidParameter(parameter: error.field.isEmpty ? "ticket" : "ticket.\(error.field)")
        }
    }

    // Where the leases are is this host's to know; which versions they have the source tells.
    private func expected(_ ticket: WireTicket) throws(ControlError) -> [HeldLease] {
        func refuse(_ resource: String, _ why: String) -> ControlError {
            .invalidResource(resource: resource, why: why)
        }
        guard ticket.uuid.lowercased() == plan.uuid.lowercased() else {
            throw refuse("the ticket", "it is of guest \(ticket.uuid), and this one is \(plan.uuid)")
        }
        guard ticket.isReleased else {
            throw refuse("the ticket", "its leases are not given back yet; that of migrate out tells so")
        }
        var rest = ticket.leases
        var expected: [HeldLease] = []
        for lease in leases {
            let resource = lease.request.resource
            let subject = lease.request.subject
            guard
                let index = rest.firstIndex(where: {
                    $0.lockspace.hasSameBytes(as: resource.lockspace) && $0.resource.hasSameBytes(as: resource.name)
                })
            else { throw refuse(subject, "the ticket has no lease of it") }
            let given = rest.remove(at: index)
            guard (given.mode == .shared) == (lease.request.mode == .shared) else {
                throw refuse(subject, "it is \(given.mode.rawValue) at the source, and not here")
            }
            if let disk = given.disk, lease.request.disk?.hasSameBytes(as: disk) != true {
                throw refuse(subject, "the ticket has its lease for another disk, \(disk)")
            }
            let version = given.version.flatMap { UInt64(exactly: $0) }
            // No lease that anybody has had is of version 0, and for sanlock it means any.
            guard lease.request.mode == .shared || version ?? 0 > 0 else {
                throw refuse(subject, "the ticket doesn't tell its lease's version")
            }
            expected.append(
                HeldLease(request: lease.request, version: lease.request.mode == .shared ? nil : version))
        }
        if let odd = rest.first {
            throw refuse(odd.disk ?? "\(odd.lockspace):\(odd.resource)", "the guest has no such disk or lease here")
        }
        return expected
    }
}

extension LeaseResource {
    /// Whether both are one lease: what sanlock goes by.
    func hasName(of other: LeaseResource) -> Bool {
        lockspace.hasSameBytes(as: other.lockspace) && name.hasSameBytes(as: other.name)
    }
}

extension ControlError {
    /// A lease operation that failed, as callers hear of it.
    init(_ failure: LeaseFailure) {
        let subject = failure.request.map { $0.disk ?? $0.spelling } ?? "the leases"
        switch failure.outcome {
        case .heldElsewhere, .heldWithoutRecord, .deadNotExpired, .beingReleased, .orphaned, .wrongVersion:
            let resource = failure.request?.resource
            self = .busy(
                disk: failure.request?.disk, lease: "\(resource?.lockspace ?? ""):\(resource?.name ?? "")",
                holder: failure.holder.map(WireHolder.init))
        case .sameDevice, .leaseFileMissing, .leaseFileUnusable, .leaseFileNotMade, .hostIdTooLarge,
            .configurationWrong:
            self = .invalidResource(resource: subject, why: failure.detail)
        case .lockspaceGone, .hostIdInUse, .daemonUnreachable, .storageFailed, .notPermitted, .other:
            self = .unavailable(why: failure.reason(.unknown))
        }
    }
}

extension WireHolder {
    fileprivate init(_ holder: LeaseHolder) {
        self.init(
            guest: holder.guest, uuid: holder.uuid, pid: holder.pid, hostId: holder.hostId.map(Int.init(clamping:)),
            hostName: holder.hostName, since: holder.since,
            liveness: Liveness(rawValue: holder.liveness.rawValue) ?? .unknown)
    }
}
