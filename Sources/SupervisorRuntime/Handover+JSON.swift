import ControlProtocol
import GuestDirectory
import Leases
import Platform
import Supervision

// The form of a handover. What is added to it may be left out by an older program; whatever else changes raises the number.
extension Handover {
    private static let versionKey = "leasehold-handover"

    var json: JSON {
        object([
            (Handover.versionKey, .integer(Handover.version)), ("word", .string(word)),
            ("shownName", .string(shownName)), ("name", .string(name)), ("uuid", .string(uuid)),
            ("id", id.map { .integer(Int64($0)) }), ("command", .array(command)), ("wishes", wishes.json),
            ("driver", driver.json), ("life", life.json), ("leases", leases.json), ("processes", processes.json),
            ("since", .string(since)), ("events", .array(events)), ("lastSequence", .integer(Int64(lastSequence))),
            ("monitor", monitor.json), ("devices", devices.json), ("descriptors", descriptors.json),
        ])
    }

    init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        guard try fields.integer(Handover.versionKey) == Handover.version else {
            throw WireError(field: Handover.versionKey, expected: "\(Handover.version), of this program's version")
        }
        word = try fields.string("word")
        shownName = try fields.string("shownName")
        name = try fields.string("name")
        uuid = try fields.string("uuid")
        id = try fields.optionalInteger("id")
        command = try fields.strings("command")
        wishes = try Wishes(try fields.inner("wishes"))
        driver = try Driver(try fields.inner("driver"))
        life = try Supervision.Carried(try fields.inner("life"))
        leases = try Leases(try fields.inner("leases"))
        processes = try Processes(try fields.inner("processes"))
        since = try fields.string("since")
        events = try fields.values("events", WireEvent.self)
        lastSequence = try fields.integer("lastSequence")
        monitor = try Monitor(try fields.inner("monitor"))
        devices = try DeviceClaim.Carried(try fields.inner("devices"))
        descriptors = try Descriptors(try fields.inner("descriptors"))
    }
}

extension Handover.Wishes {
    fileprivate var json: JSON {
        object([
            ("pauses", .bool(pauses)), ("stopTimeoutSeconds", .number(stopTimeoutSeconds)),
            ("stopSeconds", .number(stopSeconds)), ("attemptSeconds", .number(attemptSeconds)),
            ("monitorPath", monitorPath.map(JSON.string)), ("runDirectory", .string(runDirectory)),
            ("pidFile", pidFile.map(JSON.string)), ("supervisorPidFile", supervisorPidFile.map(JSON.string)),
            ("log", log.json), ("hasMessages", .bool(hasMessages)),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        pauses = try fields.bool("pauses")
        stopTimeoutSeconds = try fields.seconds("stopTimeoutSeconds")
        stopSeconds = try fields.seconds("stopSeconds")
        attemptSeconds = try fields.seconds("attemptSeconds")
        monitorPath = try fields.optionalString("monitorPath")
        runDirectory = try fields.string("runDirectory")
        pidFile = try fields.optionalString("pidFile")
        supervisorPidFile = try fields.optionalString("supervisorPidFile")
        log = try Handover.Log(try fields.inner("log"))
        hasMessages = try fields.bool("hasMessages")
    }
}

extension Handover.Log {
    fileprivate var json: JSON {
        object([
            ("descriptor", descriptor.map { .integer(Int64($0)) }), ("isJSON", .bool(isJSON)),
            ("level", .string(level)),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        descriptor = try fields.optionalInteger("descriptor")
        isJSON = try fields.bool("isJSON")
        level = try fields.string("level")
    }
}

extension Handover.Driver {
    fileprivate var json: JSON {
        object([
            ("name", .string(name)), ("settings", settings),
            ("asked", .array(carried.asked.map { HeldLease(request: $0, version: nil).json })),
            ("raised", .array(carried.raised.map(\.json))),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        name = try fields.string("name")
        settings = fields.optional("settings") ?? .null
        carried = CarriedLeases()
        carried.asked = try fields.leases("asked").map(\.request)
        carried.raised = try fields.leases("raised")
    }
}

extension Handover.Leases {
    fileprivate var json: JSON {
        object([
            ("leases", .array(leases.map(\.json))), ("state", .string(state.rawValue)),
            ("areAdrift", .bool(areAdrift)), ("isOneUnmarked", .bool(isOneUnmarked)),
            ("lossDetail", .string(lossDetail)),
            ("lockspaces", .array(lockspaces.map(\.json))), ("sinceSeconds", .number(sinceSeconds)),
            ("isWatchdogOn", .bool(isWatchdogOn)), ("areAskedFor", .bool(areAskedFor)),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        leases = try fields.leases("leases")
        state = try fields.choice("state", WireLease.State.self)
        areAdrift = try fields.bool("areAdrift")
        isOneUnmarked = try fields.optionalBool("isOneUnmarked") ?? false
        lossDetail = try fields.string("lossDetail")
        lockspaces = []
        for one in try fields.objects("lockspaces") { lockspaces.append(try LockspaceState(one)) }
        sinceSeconds = try fields.seconds("sinceSeconds")
        isWatchdogOn = try fields.bool("isWatchdogOn")
        areAskedFor = try fields.optionalBool("areAskedFor") ?? false
    }
}

extension Handover.Processes {
    fileprivate var json: JSON {
        object([
            ("child", child.json), ("keeperPid", .integer(Int64(keeperPid))), ("spared", .array(spared.map(\.json))),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        child = try ProcessIdentity(try fields.inner("child"))
        keeperPid = try fields.integer("keeperPid", from: 2)
        spared = []
        for one in try fields.objects("spared") { spared.append(try ProcessIdentity(one)) }
    }
}

extension Handover.Monitor {
    fileprivate var json: JSON {
        object([
            ("wasReady", .bool(wasReady)), ("wasRunning", wasRunning.map(JSON.bool)),
            ("wantsConnection", .bool(wantsConnection)),
            ("writtenBytes", writtenBytes.map { .integer(Int64(bitPattern: $0)) }),
        ])
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        wasReady = try fields.bool("wasReady")
        wasRunning = try fields.optionalBool("wasRunning")
        wantsConnection = try fields.bool("wantsConnection")
        writtenBytes = try fields.optionalBits("writtenBytes")
    }
}

extension Handover.Descriptors {
    fileprivate var json: JSON {
        let numbers: [(String, Int32?)] = [
            ("listener", listener), ("lock", lock), ("keeperReports", keeperReports),
            ("leaseConnection", leaseConnection), ("devices", devices), ("client", client),
        ]
        return object(numbers.map { name, number in (name, number.map { .integer(Int64($0)) }) })
    }

    fileprivate init(_ fields: WireFields) throws(WireError) {
        listener = try fields.integer("listener", from: 3)
        lock = try fields.integer("lock", from: 3)
        keeperReports = try fields.integer("keeperReports", from: 3)
        leaseConnection = try fields.optionalInteger("leaseConnection", from: 3)
        devices = try fields.optionalInteger("devices", from: 3)
        client = try fields.optionalInteger("client", from: 3)
    }
}
