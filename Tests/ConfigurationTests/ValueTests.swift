import Testing

@testable import Configuration

private let path = "/etc/leasehold/leasehold.conf"

/// The longest lease directory without a byte that sanlock escapes.
private let longestLeaseDirectory = "/" + String(repeating: "d", count: 989)
private let longestRunDirectory = "/" + String(repeating: "r", count: 26)
private let longestName = String(repeating: "u", count: 255)

@Suite struct ValueTests {
    struct Good: Sendable {
        let text: String
        let change: @Sendable (inout Configuration) -> Void

        init(_ text: String, _ change: @escaping @Sendable (inout Configuration) -> Void) {
            self.text = text
            self.change = change
        }
    }

    static let good = [
        Good("auto_disk_leases = 1") { _ in },
        Good("auto_disk_leases = 0") {
            $0.autoDiskLeases = false; $0.requireLeaseForDisks = true
        },
        Good("require_lease_for_disks = 1") { $0.requireLeaseForDisks = true },
        Good("disk_lease_dir = \"/srv/leases\"") { $0.diskLeaseDirectory = "/srv/leases" },
        Good("disk_lease_dir = '/'") { $0.diskLeaseDirectory = "/" },
        Good("disk_lease_dir = \"/srv//leases/../x/\"") { $0.diskLeaseDirectory = "/srv//leases/../x/" },
        Good("disk_lease_dir = \"/srv/a b:c#d;é\"") { $0.diskLeaseDirectory = "/srv/a b:c#d;é" },
        Good("disk_lease_dir = \"\(longestLeaseDirectory)\"") { $0.diskLeaseDirectory = longestLeaseDirectory },
        Good("host_id = 1") { $0.hostId = 1 },
        Good("host_id = +2000") { $0.hostId = 2000 },
        Good("io_timeout = 0") { _ in },
        Good("io_timeout = 255") { $0.ioTimeoutSeconds = 255 },
        Good("user = \"sanlock\"") { $0.user = "sanlock" },
        Good("user = '+107'") { $0.user = "107" },
        Good("user = \"0107\"") { $0.user = "107" },
        Good("user = 0") { $0.user = "0" },
        Good("user = 'EXAMPLE\\sanlock admin$'") { $0.user = "EXAMPLE\\sanlock admin$" },
        Good("user = '\(longestName)'") { $0.user = longestName },
        Good("group = \"disk\"") { $0.group = "disk" },
        Good("group = 4294967294") { $0.group = "4294967294" },
        Good("lease_hosts = 1") { $0.leaseHosts = 1 },
        Good("lease_hosts = 2000") { $0.leaseHosts = 2000 },
        Good("wait = 45") { $0.waitSeconds = 45 },
        Good("wait = \"2m\"") { $0.waitSeconds = 120 },
        Good("wait = 315360000") { $0.waitSeconds = 315_360_000 },
        Good("on_lease_loss = \"pause\"") { $0.onLeaseLoss = .pause },
        Good("on_lease_loss = 'poweroff'") { _ in },
        Good("stop_timeout = 0") { $0.stopTimeoutSeconds = 0 },
        Good("stop_timeout = '500ms'") { $0.stopTimeoutSeconds = 0.5 },
        Good("run_dir = \"\(longestRunDirectory)\"") { $0.runDirectory = longestRunDirectory },
    ]

    @Test(arguments: good)
    func valueSetsItsPropertyAndNoOther(good: Good) throws {
        var expected = Configuration()
        good.change(&expected)
        #expect(try Configuration(parsing: good.text, path: path) == expected)
    }

    @Test func everyKeyIsTriedWithAGoodValue() {
        let tried = Set(Self.good.map { String($0.text.prefix { $0 != " " }) })
        #expect(tried == Set(ConfigurationKey.allCases.map(\.rawValue)))
    }

    /// Values that are wrong for every key, and what is said of them.
    @Test(
        arguments: ConfigurationKey.allCases,
        [
            ("", "no value;"), (" # 1", "no value;"), (" ;", "no value;"), ("[ 1 ]", "takes no list;"),
            ("[\"a\",", "takes no list;"), ("yes", "not a number or a text in quotes: 'yes';"),
            ("True", "not a number or a text in quotes: 'True';"), ("=1", "not a number or a text in quotes: '=1';"),
            ("-", "- is "), ("+", "+ is "), ("1x", "something after the value: 'x';"),
            ("1 2", "something after the value: '2';"),
            ("1.5", "something after the value: '.5';"), ("0x1", "something after the value: 'x1';"), ("-1", "-1 is "),
            ("99999999999999999999", "99999999999999999999 is"), ("\"\"", "\"\" is"), ("\"\"\"\"\"\"", "\"\" is"),
            ("\"a", "no quote at its end;"), ("'a\"", "no quote at its end;"), ("\"a\nb\"", "no quote at its end;"),
            ("\"\"\"a\nb\"", "no \"\"\" at its end;"), ("\"\"\"a\"\"", "no \"\"\" at its end;"),
            ("\"/a\u{0}b\"", "a NUL byte;"),
            ("\"\"\"/a\n\u{0}\"\"\"", "a NUL byte;"), ("\"/a\u{1}\"", "\"/a\\u{1}\" "),
            ("'/a' b", "something after the value: 'b';"),
        ])
    func valueThatNoKeyTakesIsRefused(key: ConfigurationKey, bad: (value: String, says: String)) throws {
        let error = try #require(refusal(of: "\n\(key.rawValue) = \(bad.value)"))
        #expect(error.key == key.rawValue)
        #expect(error.problem.contains(bad.says))
        #expect(error.problem.contains("; allowed is "))
        // The NUL alone may stand below the line where its text began.
        #expect(bad.says == "a NUL byte;" ? (2...3).contains(error.line) : error.line == 2)
    }

    /// Values that are wrong for one key, and what is said of them.
    @Test(arguments: [
        ("auto_disk_leases = 2", "2 is out of range; allowed is 0 or 1"),
        ("auto_disk_leases = \"1\"", "\"1\" is a text; allowed is 0 or 1"),
        ("require_lease_for_disks = 2", "2 is out of range; allowed is 0 or 1"),
        ("require_lease_for_disks = 'no'", "\"no\" is a text; allowed is 0 or 1"),
        ("disk_lease_dir = 1", "1 is a number; allowed is an absolute path in quotes"),
        ("disk_lease_dir = \"leases\"", "\"leases\" is no absolute path;"),
        ("disk_lease_dir = \" /leases\"", "\" /leases\" is no absolute path;"),
        ("disk_lease_dir = \"/a\\\\b\"", "has a backslash, which sanlock drops;"),
        ("disk_lease_dir = \"\"\"/a\nb\"\"\"", "\"/a\\u{a}b\" has a control character;"),
        ("disk_lease_dir = \"/a\u{7f}\"", "has a control character;"),
        ("disk_lease_dir = \"\(longestLeaseDirectory)d\"", "is too long: 991 bytes; allowed is an absolute path"),
        ("disk_lease_dir = \"\(longestLeaseDirectory.dropLast()):\"", "is too long: 991 bytes;"),
        ("disk_lease_dir = \"\(longestLeaseDirectory.dropLast()) \"", "at most 990 bytes with sanlock's escapes"),
        ("disk_lease_dir = \"\(longestLeaseDirectory.dropLast())é\"", "is too long: 991 bytes;"),
        ("host_id = 0", "0 is out of range; allowed is an integer from 1 to 2000"),
        ("host_id = 2001", "2001 is out of range;"),
        ("host_id = \"7\"", "\"7\" is a text;"),
        ("io_timeout = 256", "256 is out of range; allowed is an integer from 0 to 255 seconds, 0 for sanlock's own"),
        ("io_timeout = \"10s\"", "\"10s\" is a text;"),
        ("user = 4294967295", "4294967295 is out of range; allowed is a name in quotes or an id"),
        ("user = \"4294967295\"", "\"4294967295\" is out of range;"),
        ("user = \"+\"", "\"+\" is no name;"),
        ("user = \"+root\"", "\"+root\" is no name;"),
        ("user = \"-1\"", "\"-1\" is no name;"),
        ("user = \"root:root\"", "\"root:root\" is no name;"),
        ("group = \"../x\"", "\"../x\" is no name;"),
        ("group = \"\(longestName)g\"", "is no name;"),
        ("group = \"a\u{7f}\"", "is no name;"),
        ("group = \"99999999999999999999\"", "is out of range;"),
        ("lease_hosts = 0", "0 is out of range; allowed is an integer from 1 to 2000"),
        ("lease_hosts = 2001", "2001 is out of range;"),
        ("lease_hosts = '250'", "\"250\" is a text;"),
        ("wait = 315360001", "315360001 is out of range; allowed is a number of seconds, or a duration like \"30s\""),
        ("wait = \"soon\"", "\"soon\" is no duration;"),
        ("wait = \"-1s\"", "\"-1s\" is no duration;"),
        ("wait = 30s", "something after the value: 's';"),
        ("stop_timeout = \"87601h\"", "\"87601h\" is no duration;"),
        ("on_lease_loss = 1", "1 is unknown; allowed is \"poweroff\" or \"pause\""),
        ("on_lease_loss = \"Pause\"", "\"Pause\" is unknown;"),
        ("run_dir = 1", "1 is a number;"),
        ("run_dir = \"run\"", "\"run\" is no absolute path; allowed is an absolute path in quotes, at most 27 bytes"),
        ("run_dir = \"/a\tb\"", "\"/a\\u{9}b\" has a control character;"),
        ("run_dir = \"\(longestRunDirectory)r\"", "is too long for a socket in it: 28 bytes;"),
    ])
    func valueOutOfItsKeysRangeIsRefused(text: String, says: String) throws {
        let error = try #require(refusal(of: text))
        #expect(error.key == String(text.prefix { $0 != " " }))
        #expect(error.line == 1)
        #expect(error.problem.contains(says))
    }

    private func refusal(of text: String) -> ConfigurationError? {
        do throws(ConfigurationError) {
            _ = try Configuration(parsing: text, path: path)
            return nil
        } catch {
            return error
        }
    }
}
