import QEMUMonitor
import Testing

/// Nothing that a monitor sends traps, and nothing counts as an answer that wasn't asked for.
@Suite struct FuzzTests {
    private static let lines = [
        greeting, #"{"return": {}, "id": 1}"#, #"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}"#,
        #"{"return": {"status": "paused", "singlestep": false, "running": false}, "id": 2}"#,
        #"{"return": {"status": "running", "running": true}, "id": 3}"#, #"{"id": 4, "return": {}}"#,
        #"{"id": 5, "error": {"class": "GenericError", "desc": "no"}}"#, #"{"event": "RESUME"}"#,
    ]
    private static let tokens = [
        "9223372036854775807", "-9223372036854775809", "1e999", "-1", "null", "true", "[", "]", "{", "}", "\"", "\\",
        "\\ud800", "\\u0000", ",", ":", "\0", "\n", "\r\n", "\"id\": 2", "\"QMP\": {}", "\u{202e}", "2", "\"event\"",
    ]
    private static let commands: [MonitorCommand] = [
        .capabilities, .queryStatus, .stop, .cont, .quit, .systemPowerdown, .getDescriptor(name: "a"),
        .closeDescriptor(name: "a"),
    ]

    @Test func brokenLinesNeverTrap() {
        run(times: 6_000) { random in
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                var line = Array(pick(Self.lines, &random).utf8)
                for _ in 0..<Int.random(in: 0...3, using: &random) where !line.isEmpty {
                    let index = Int.random(in: line.indices, using: &random)
                    switch Int.random(in: 0..<5, using: &random) {
                    case 0: line[index] = UInt8.random(in: 0...255, using: &random)
                    case 1: line.remove(at: index)
                    case 2: line.insert(UInt8.random(in: 0...255, using: &random), at: index)
                    case 3: line.removeSubrange(index...)
                    default: line.insert(contentsOf: pick(Self.tokens, &random).utf8, at: index)
                    }
                }
                stream += line + [0x0d, 0x0a]
            }
            return stream
        }
    }

    @Test func wholeLinesInAnyOrderNeverTrap() {
        run(times: 10_000) { random in
            [UInt8](
                (0..<Int.random(in: 1...10, using: &random)).map { _ in pick(Self.lines, &random) + "\r\n" }.joined()
                    .utf8
            )
        }
    }

    @Test func randomBytesNeverTrap() {
        run(times: 10_000) { random in
            (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
    }

    @Test func randomPunctuationNeverTraps() {
        let alphabet = Array("{}[]\":,\\u0QMPeventidrur- 12\n".utf8)
        run(times: 10_000) { random in
            Array(greeting.utf8) + [0x0a]
                + (0..<Int.random(in: 0...60, using: &random)).map { _ in pick(alphabet, &random) }
        }
    }

    /// Feeds streams, cut anywhere and with commands sent between the parts, and checks what every stream owes.
    private func run(times: Int, _ make: (inout SeededGenerator) -> [UInt8]) {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("QEMUMonitor FuzzTests: seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<times {
            let stream = make(&random)
            var conversation = MonitorConversation()
            var waiting: [Int: MonitorCommand] = [:]
            var wasGreeted = false
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let command = pick(Self.commands, &random)
                waiting[conversation.send(command).id] = command
            }
            let cut = Int.random(in: 0...stream.count, using: &random)
            for part in [stream[..<cut], stream[cut...]] {
                let news: [MonitorNews]
                do { news = try conversation.receive(part) } catch {
                    #expect(error.description.isOnePrintableLine)
                    #expect(!conversation.isReady)
                    break
                }
                for piece in news {
                    switch piece {
                    case .greeted:
                        #expect(!wasGreeted)
                        wasGreeted = true
                    case .ready:
                        #expect(wasGreeted && conversation.isReady)
                    case .event(.other(let name)):
                        #expect(wasGreeted && name.isOnePrintableLine)
                    case .event:
                        #expect(wasGreeted)
                    case .reply(let id, let reply):
                        #expect(wasGreeted)
                        let command = waiting.removeValue(forKey: id)
                        #expect(command != nil)
                        if case .status(let status) = reply {
                            #expect(command == .queryStatus && !(status.isRunning && status.staysStopped))
                        }
                    }
                }
            }
        }
    }

    private func pick<Element>(_ list: [Element], _ random: inout SeededGenerator) -> Element {
        list[Int.random(in: list.indices, using: &random)]
    }
}

/// SplitMix64: random numbers that a printed seed brings back.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
