/// The interface's `Event`: something that happened to a guest.
public struct WireEvent: WireValue {
    /// What can happen, in the interface page's words and order.
    public enum Name: String, Sendable, CaseIterable {
        case registered, acquired, started
        case paused, resumed, attached, detached, leaseWarning, requested, leaseLost
        case exited, released
    }

    /// Its number; the next event has the next one.
    public var sequence: Int
    /// When, in RFC 3339 UTC.
    public var time: String
    /// What: one of ``Name``, or a word that a newer supervisor has.
    public var event: String
    /// The particulars, by name and in order.
    public var detail: [Detail]

    /// One of an event's particulars.
    public struct Detail: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// What there is to say.
        public var value: String

        /// Makes a detail of its two halves.
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Makes an event of its fields; of a detail given twice the last value is sent.
    public init(sequence: Int, time: String, event: String, detail: [Detail] = []) {
        self.sequence = sequence
        self.time = time
        self.event = event
        self.detail = detail
    }

    /// Makes one of the events there are; see the other initializer.
    public init(sequence: Int, time: String, event: Name, detail: [Detail] = []) {
        self.init(sequence: sequence, time: time, event: event.rawValue, detail: detail)
    }

    /// Reads it; see ``WireValue/init(json:)``.
    public init(json: JSON) throws(WireError) {
        let fields = try WireFields(json)
        sequence = try fields.integer("sequence")
        time = try fields.string("time")
        event = try fields.string("event")
        guard let object = try fields.optionalObject("detail") else {
            throw WireError(field: "detail", expected: "an object")
        }
        detail = []
        for member in object.members {
            guard case .string(let value) = member.value else {
                throw WireError(field: "detail.\(member.key)", expected: "a string")
            }
            detail.append(Detail(member.key, value))
        }
    }

    /// The value as it is sent.
    public var json: JSON {
        .object(
            JSON.Object(fields: [
                ("sequence", .integer(Int64(sequence))), ("time", .string(time)), ("event", .string(event)),
                ("detail", .object(JSON.Object(detail.map { ($0.name, .string($0.value)) }))),
            ]))
    }
}
