import Configuration
import Testing

@Suite struct SyntaxTests {
    /// Each sets the host's id to 7 and the user to `u`, and nothing else.
    @Test(arguments: [
        "host_id = 7\nuser = \"u\"\n", "host_id=7\nuser='u'", "\t host_id\t =\t 7 \t\n user = \"\"\"u\"\"\" \n\n",
        "host_id = 7\r\nuser = 'u'\r\n", "\r\n\r\nhost_id = 7\r\n\r\n# c\r\nuser = 'u'", "host_id = 7\ruser = 'u'",
        "# a\nhost_id = 7 # b\n   # c\nuser = 'u'# d \"", "host_id = 7;user = 'u';", "host_id = 7 ; # c\nuser = 'u'",
        "host_id = 7 ;\n\nuser = 'u' # ; host_id = 8", "user = 'u'\nhost_id = +07",
        "#host_id = 8\nhost_id = 7\nuser = 'u'",
    ])
    func layoutMakesNoDifference(text: String) throws {
        var expected = Configuration()
        expected.hostId = 7
        expected.user = "u"
        #expect(try Configuration(parsing: text, path: "f") == expected)
    }

    /// The value stands in the line below the first, to see that nothing of it is lost.
    @Test(arguments: [
        ("\"/it's # no ; comment\"", "/it's # no ; comment"), ("'/say \"x\"'", "/say \"x\""),
        ("\"\"\"/both ' and \"\"\"", "/both ' and "), ("\"\"\"/two \"\" in a row\"\"\"", "/two \"\" in a row"),
        ("'/e\u{301}\u{1F600}'", "/e\u{301}\u{1F600}"),
    ])
    func textIsTakenAsItStandsBetweenItsQuotes(value: String, text: String) throws {
        let configuration = try Configuration(parsing: "host_id = 7\ndisk_lease_dir = \(value) # c", path: "f")
        #expect(Array(configuration.diskLeaseDirectory.utf8) == Array(text.utf8))
    }

    /// Columns: text, the whole message.
    @Test(arguments: [
        ("host_id 7", "f:1: host_id: no = after the key, but '7'; allowed is KEY = VALUE"),
        ("host_id", "f:1: host_id: no = after the key, but the end of the line; allowed is KEY = VALUE"),
        ("host_id\n= 7", "f:1: host_id: no = after the key, but the end of the line; allowed is KEY = VALUE"),
        ("host_id =\n7", "f:1: host_id: no value; allowed is an integer from 1 to 2000"),
        ("\n\n  = 7", "f:3: no key, but '= 7'; allowed is KEY = VALUE"),
        ("7 = 7", "f:1: no key, but '7 = 7'; allowed is KEY = VALUE"),
        ("[global]\nhost_id = 7", "f:1: no key, but '[global]'; allowed is KEY = VALUE"),
        ("; host_id = 7", "f:1: no key, but '; host_id = 7'; allowed is KEY = VALUE"),
        ("\u{feff}host_id = 7", "f:1: no key, but '\\u{feff}host_id = 7'; allowed is KEY = VALUE"),
        ("é = 7", "f:1: no key, but 'é = 7'; allowed is KEY = VALUE"),
        ("\u{0}", "f:1: no key, but '\\u{0}'; allowed is KEY = VALUE"),
        ("# a\n# b\u{0}c", "f:2: a NUL byte; allowed is text"),
        ("host_id = 7 # \u{0}", "f:1: a NUL byte; allowed is text"),
        (
            "host_id = 7 # é\u{1b}[31m\nhost_id",
            "f:2: host_id: no = after the key, but the end of the line; allowed is KEY = VALUE"
        ),
        (
            "host_id = 7 \u{1b}[31m\u{202e}",
            "f:1: host_id: something after the value: '\\u{1b}[31m\\u{202e}'; "
                + "allowed is an integer from 1 to 2000, and a # comment"
        ),
        ("user = \"\"\"a\nb\"\"\"", "f:1: user: \"a\\u{a}b\" is no name; allowed is a name in quotes or an id"),
        (
            "user = '''\nhost_id = 0",
            "f:1: user: something after the value: '''; allowed is a name in quotes or an id, and a # comment"
        ),
        (
            "disk_lease_dir = \"\"\"/a\"\"\"\r\n\r\nhost_id = 0",
            "f:3: host_id: 0 is out of range; allowed is an integer from 1 to 2000"
        ),
    ])
    func brokenSyntaxIsToldWithItsLine(text: String, message: String) {
        #expect(refusal(of: text) == message)
    }

    @Test func lineIsCountedThroughATextOfSeveralLines() {
        // Of libvirt's file the second `user` isn't read as a name, so a newline in it is no error.
        let text = "user = 'u'\nuser = \"\"\"a\nb\r\nc\"\"\"\nhost_id = 2001"
        #expect(refusal(of: text, path: "qemu-sanlock.conf")?.hasPrefix("qemu-sanlock.conf:5: host_id: 2001 ") == true)
    }

    @Test func firstErrorWins() {
        #expect(refusal(of: "host_id = 0\nhost_di = 1\n\"")?.hasPrefix("f:1: host_id: 0 ") == true)
        #expect(refusal(of: "host_id = 1\nhost_di = [\nhost_id = 0")?.hasPrefix("f:2: host_di: unknown key") == true)
    }

    @Test(arguments: [
        ("host_di", "host_id"), ("hostid", "host_id"), ("HOST_ID", "host_id"), ("host-id", "host_id"),
        ("disk_leases_dir", "disk_lease_dir"), ("auto_disk_lease", "auto_disk_leases"), ("users", "user"),
        ("iotimeout", "io_timeout"), ("stop-timeout", "stop_timeout"), ("rundir", "run_dir"), ("waits", "wait"),
        ("require_leases_for_disk", "require_lease_for_disks"), ("on_lock_loss", "on_lease_loss"),
    ])
    func keyThatIsNearlyRightIsRefusedWithTheOneMeant(name: String, meant: String) {
        #expect(refusal(of: "\n\(name) = 1") == "f:2: \(name): unknown key; did you mean \(meant)?")
    }

    @Test(arguments: [
        "x", "_", "file_lockspace_dir", "w.a-i_t2", "uuid", "lock_manager", String(repeating: "a", count: 41),
    ])
    func keyThatIsFarFromAllIsRefusedWithTheListOfThem(name: String) {
        let all =
            "auto_disk_leases, disk_lease_dir, host_id, require_lease_for_disks, io_timeout, user, group, lease_hosts, "
            + "wait, on_lease_loss, stop_timeout, run_dir"
        #expect(refusal(of: "\(name) = 1") == "f:1: \(name): unknown key; allowed are \(all)")
    }

    @Test func keySetTwiceIsRefusedWithBothLines() {
        #expect(
            refusal(of: "host_id = 1\n\nwait = 0\nhost_id = 1")
                == "f:4: host_id: already set in line 1; allowed is once")
    }

    @Test func pathWithANewlineStaysOneLine() {
        #expect(refusal(of: "x", path: "/a\nb")?.hasPrefix("/a\\u{a}b:1: x: ") == true)
    }

    private func refusal(of text: String, path: String = "f") -> String? {
        do throws(ConfigurationError) {
            _ = try Configuration(parsing: text, path: path)
            return nil
        } catch {
            return error.message
        }
    }
}
