import ControlProtocol
import GuestDirectory
import Leases
import Platform
import Supervision

// What a handover is made of, as JSON. Numbers of 64 bits without a sign go by their bits.

func object(_ fields: [(String, JSON?)]) -> JSON { .object(JSON.Object(fields: fields)) }

extension WireFields {
    func inner(_ name: String) throws(WireError) -> WireFields {
        guard let object = try optionalObject(name) else { throw WireError(field: name, expected: "an object") }
        return WireFields(object)
    }

    func objects(_ name: String) throws(WireError) -> [WireFields] {
        guard let elements = try optionalArray(name) else { throw WireError(field: name, expected: "an array") }
        var objects: [WireFields] = []
        for element in elements { objects.append(try WireFields(element)) }
        return objects
    }

    func seconds(_ name: String) throws(WireError) -> Double {
        guard let seconds = try optionalNumber(name), seconds >= 0 else {
            throw WireError(field: name, expected: "seconds")
        }
        return seconds
    }

    func optionalBits(_ name: String) throws(WireError) -> UInt64? {
        let value: Int64? = try optionalInteger(name, from: .min)
        return value.map { UInt64(bitPattern: $0) }
    }

    func bits(_ name: String) throws(WireError) -> UInt64 {
        guard let value = try optionalBits(name) else { throw WireError(field: name, expected: "an integer") }
        return value
    }

    func leases(_ name: String) throws(WireError) -> [HeldLease] {
        var leases: [HeldLease] = []
        for one in try objects(name) { leases.append(try HeldLease(one)) }
        return leases
    }
}

extension HeldLease {
    var json: JSON {
        let resource = request.resource
        return object([
            ("disk", request.disk.map(JSON.string)), ("mode", .string(request.mode.rawValue)),
            ("lockspace", .string(resource.lockspace)), ("resource", .string(resource.name)),
            ("path", .string(resource.path)), ("offset", .integer(Int64(bitPattern: resource.offsetBytes))),
            ("version", version.map { .integer(Int64(bitPattern: $0)) }),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        guard let mode = LeaseMode(rawValue: try fields.string("mode")) else {
            throw WireError(field: "mode", expected: "exclusive or shared")
        }
        let resource = LeaseResource(
            lockspace: try fields.string("lockspace"), name: try fields.string("resource"),
            path: try fields.string("path"), offsetBytes: try fields.bits("offset"))
        self.init(
            request: LeaseRequest(disk: try fields.optionalString("disk"), resource: resource, mode: mode),
            version: try fields.optionalBits("version"))
    }
}

extension LockspaceState {
    var json: JSON {
        object([
            ("name", .string(name)), ("hostId", .integer(Int64(bitPattern: hostId))),
            ("hostName", hostName.map(JSON.string)), ("ioTimeoutSeconds", .number(ioTimeoutSeconds)),
            ("graceSeconds", .number(graceSeconds)), ("shownRenewalSeconds", shownRenewalSeconds.map(JSON.number)),
        ])
    }

    init(_ fields: WireFields) throws(WireError) {
        self.init(
            name: try fields.string("name"), hostId: try fields.bits("hostId"),
            hostName: try fields.optionalString("hostName"), ioTimeoutSeconds: try fields.seconds("ioTimeoutSeconds"),
            graceSeconds: try fields.seconds("graceSeconds"),
            shownRenewalSeconds: try fields.optionalNumber("shownRenewalSeconds"))
    }
}

extension ProcessIdentity {
    var json: JSON {
        object([("pid", .integer(Int64(pid))), ("startTime", .integer(Int64(bitPattern: startTime)))])
    }

    init(_ fields: WireFields) throws(WireError) {
        self.init(pid: try fields.integer("pid", from: 2), startTime: try fields.bits("startTime"))
    }
}

extension DeviceClaim.Carried {
    var json: JSON {
        object([
            (
                "disks",
                .array(
                    disks.map { disk in
                        object([
                            ("path", .string(disk.path)), ("isShared", .bool(disk.isShared)),
                            ("isOpenedByCommand", .bool(disk.isOpenedByCommand)),
                        ])
                    })
            ),
            ("exclusive", .array(exclusive.map(JSON.integer))),
        ])
    }

    init(_ fields: WireFields) throws(WireError) {
        var disks: [DeviceClaim.Disk] = []
        for one in try fields.objects("disks") {
            disks.append(
                DeviceClaim.Disk(
                    path: try one.string("path"), isShared: try one.bool("isShared"),
                    isOpenedByCommand: try one.bool("isOpenedByCommand")))
        }
        var exclusive: [Int64] = []
        for element in try fields.optionalArray("exclusive") ?? [] {
            guard let offset = element.integerValue else { throw WireError(field: "exclusive", expected: "integers") }
            exclusive.append(offset)
        }
        self.init(disks: disks, exclusive: exclusive)
    }
}

extension Supervision.Carried {
    var json: JSON {
        object([
            ("paused", paused?.json), ("isConnected", .bool(isConnected)), ("isLossAnnounced", .bool(isLossAnnounced)),
            ("isLeased", .bool(isLeased)), ("endSeconds", .number(endSeconds)),
        ])
    }

    init(_ fields: WireFields) throws(WireError) {
        let paused = try fields.optionalObject("paused")
        self.init(
            paused: try paused.map { object throws(WireError) in try Paused(WireFields(object)) },
            isConnected: try fields.bool("isConnected"), isLossAnnounced: try fields.bool("isLossAnnounced"),
            isLeased: try fields.bool("isLeased"), endSeconds: try fields.seconds("endSeconds"))
    }
}

extension Paused {
    fileprivate var json: JSON {
        let purpose: (String, flag: Bool) =
            switch purpose {
            case .loss(let goesOn): ("loss", goesOn)
            case .order(let release): ("order", release)
            case .migration: ("migration", false)
            case .arrival: ("arrival", false)
            }
        return object([
            ("step", .string("\(step)")), ("purpose", .string(purpose.0)), ("flag", .bool(purpose.flag)),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        let word = try fields.string("step")
        guard let step = Step.allCases.first(where: { "\($0)" == word }) else {
            throw WireError(field: "step", expected: "a word that this program knows")
        }
        let flag = try fields.bool("flag")
        switch try fields.string("purpose") {
        case "loss": self.init(step, .loss(goesOn: flag))
        case "order": self.init(step, .order(release: flag))
        default: throw WireError(field: "purpose", expected: "loss or order")
        }
    }
}
