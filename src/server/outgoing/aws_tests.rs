//! Signatures against those that AWS publishes, and keys that are had.

use super::*;
use crate::outgoing::tests::{answer, get, serve};
use ports::{HttpRequest, Outgoing as _};

fn pair(session_token: &str) -> Pair {
    Pair {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: Secret::new(session_token.to_owned()),
    }
}

/// The `Authorization` header of AWS' published examples: their keys, their time.
fn authorization(method: Method, url: &str, content_type: &str, body: &str, session_token: &str) -> String {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    }
    let url = Url::parse(url).unwrap();
    let request = Signed { method: &method, url: &url, body: body.as_bytes() };
    let now = Timestamp::from_millis(1_440_938_160_000);
    sign(&request, &mut headers, &pair(session_token), "service", "us-east-1", now).unwrap();
    assert_eq!(headers["x-amz-date"], "20150830T123600Z");
    headers[AUTHORIZATION].to_str().unwrap().to_owned()
}

#[test]
fn signs_as_published() {
    let form = "application/x-www-form-urlencoded";
    for (method, url, content_type, body, expected) in [
        (
            Method::GET,
            "https://example.amazonaws.com/",
            "",
            "",
            "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            Method::GET,
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            "",
            "",
            "SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            Method::POST,
            "https://example.amazonaws.com/",
            form,
            "Param1=value1",
            "SignedHeaders=content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ";
        assert_eq!(authorization(method, url, content_type, body, ""), format!("{begin}{expected}"), "{url}");
    }
    let token = authorization(Method::GET, "https://example.amazonaws.com:81/a%20b", "", "", "t0k");
    assert!(token.contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "), "{token}");
}

fn signing(keys: AwsKeys, role: Option<AwsRole>, sts: &str) -> Arc<HttpOptions> {
    let signing = AwsSigning {
        service: "sns".to_owned(),
        region: "eu-west-1".to_owned(),
        keys,
        role,
        sts_url: sts.to_owned(),
    };
    Arc::new(HttpOptions { aws: Some(signing), ..HttpOptions::default() })
}

fn held() -> AwsKeys {
    AwsKeys::Held {
        access_key: "AKID".to_owned(),
        secret_key: Secret::new("s3cret".to_owned()),
        session_token: Secret::default(),
    }
}

fn request(port: u16, options: &Arc<HttpOptions>) -> HttpRequest {
    let mut request = get(&format!("http://127.0.0.1:{port}/sns"), Reach::Operator);
    request.options = Arc::clone(options);
    request
}

const ROLE_KEYS: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>\
    <SecretAccessKey>role/s3cret</SecretAccessKey><SessionToken>t0k+/=</SessionToken></Credentials></AssumeRoleResult>\
    </AssumeRoleResponse>";

#[tokio::test]
async fn a_role_is_taken_on_once() {
    let (sts, asked) = serve(vec![answer("200 OK", "", ROLE_KEYS)]).await;
    let role = AwsRole { arn: "arn:aws:iam::1:role/x".to_owned(), external_id: "e&".to_owned() };
    let options = signing(held(), Some(role), &format!("http://127.0.0.1:{sts}/"));
    let (port, told) = serve(vec![answer("200 OK", "", ""), answer("200 OK", "", "")]).await;
    let outgoing = HttpOutgoing::new();
    for _ in 0..2 {
        outgoing.send(request(port, &options)).await.unwrap();
    }
    let asked = asked.await.unwrap().remove(0);
    assert!(asked.contains("Credential=AKID/") && asked.contains("/eu-west-1/sts/aws4_request"), "{asked}");
    let form = "Action=AssumeRole&DurationSeconds=900&ExternalId=e%26&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx\
                &RoleSessionName=foghorn&Version=2011-06-15";
    assert!(asked.ends_with(form), "{asked}");
    for told in told.await.unwrap() {
        assert!(told.contains("Credential=ASIA/") && told.contains("/eu-west-1/sns/aws4_request"), "{told}");
        assert!(told.contains("x-amz-security-token: t0k+/=\r\n"), "{told}");
    }
}

#[tokio::test]
async fn keys_are_had_from_whoever_gives_them() {
    let given = r#"{"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t0k"}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), " jwt\n").unwrap();
    let path = file.path().display().to_string();
    for (kind, answers, expected) in [
        ("container", vec![given], vec!["GET /c HTTP/1.1", "authorization: jwt"]),
        (
            "machine",
            vec!["mt", "the-role\n", given],
            vec![
                "PUT /latest/api/token HTTP/1.1",
                "x-aws-ec2-metadata-token-ttl-seconds: 60",
                "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1",
                "x-aws-ec2-metadata-token: mt",
                "GET /latest/meta-data/iam/security-credentials/the-role HTTP/1.1",
            ],
        ),
        (
            "web",
            vec![ROLE_KEYS],
            vec![
                "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aw&RoleSessionName=me&Version=2011-06-15&WebIdentityToken=jwt",
            ],
        ),
    ] {
        let answers = answers.into_iter().map(|body| answer("200 OK", "", body)).collect();
        let (giver, asked) = serve(answers).await;
        let at = format!("http://127.0.0.1:{giver}");
        let keys = match kind {
            "container" => AwsKeys::Container {
                url: format!("{at}/c"),
                token: Secret::default(),
                token_file: Some(path.clone()),
            },
            "machine" => AwsKeys::Machine { url: Some(at.clone()), looked: String::new() },
            _ => AwsKeys::WebIdentity {
                role_arn: "arn:w".to_owned(),
                session_name: "me".to_owned(),
                token_file: path.clone(),
            },
        };
        let (port, told) = serve(vec![answer("200 OK", "", "")]).await;
        HttpOutgoing::new().send(request(port, &signing(keys, None, &at))).await.unwrap();
        let told = told.await.unwrap().remove(0);
        assert!(told.contains("Credential=ASIA/") && told.contains("x-amz-security-token: t0k"), "{told}");
        let asked = asked.await.unwrap().join("\n");
        for line in expected {
            assert!(asked.contains(line), "{kind}: {line}: {asked}");
        }
    }
}

#[tokio::test]
async fn without_keys_nothing_is_sent() {
    let refused =
        "<ErrorResponse><Error><Code>AccessDenied</Code><Message>s3cret</Message></Error></ErrorResponse>";
    let (sts, _asked) = serve(vec![answer("403 Forbidden", "", refused)]).await;
    let role = Some(AwsRole { arn: "arn:r".to_owned(), external_id: String::new() });
    let nowhere = AwsKeys::Machine { url: None, looked: "in X".to_owned() };
    for (options, expected) in [
        (
            signing(held(), role, &format!("http://127.0.0.1:{sts}/")),
            "STS answered with status 403, `AccessDenied`, and no keys",
        ),
        (
            signing(nowhere, None, ""),
            "there are no keys for AWS in X, and the machine is not asked for any; set `access_key` and `secret_key` under \
             `sigv4`",
        ),
    ] {
        // Nobody listens there: it would be another error.
        let got = HttpOutgoing::new().send(request(9, &options)).await.unwrap_err();
        assert_eq!(got, OutgoingError::NoConnection(expected.to_owned()));
    }
}
