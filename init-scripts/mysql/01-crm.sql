-- Database `crm`: the MySQL half of the large telecom system. This version has no MySQL source;
-- the schema, the user and its privileges are those that one will need.

CREATE DATABASE IF NOT EXISTS crm CHARACTER SET utf8mb4;
USE crm;

CREATE TABLE customer_profiles (
    customer_id           VARCHAR(50) PRIMARY KEY,
    customer_name         VARCHAR(255),
    age                   INT,
    gender                VARCHAR(10),
    location              VARCHAR(255),
    account_creation_date DATE,
    plan_type             VARCHAR(50),
    monthly_spending      DECIMAL(10,2),
    credit_score          INT,
    avg_payment_delay     INT,
    last_updated          TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
);

CREATE TABLE device_information (
    device_id     INT AUTO_INCREMENT PRIMARY KEY,
    customer_id   VARCHAR(50),
    device_model  VARCHAR(255),
    os_version    VARCHAR(50),
    imei          VARCHAR(20),
    device_status VARCHAR(50),
    last_updated  TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    INDEX device_information_customer (customer_id),
    FOREIGN KEY (customer_id) REFERENCES customer_profiles (customer_id)
);

-- A reader of the binary log: SELECT for the first copy, the two REPLICATION privileges for the
-- stream. They are global by their nature; SELECT is not.
CREATE USER 'wasmgate'@'%' IDENTIFIED BY 'wasmgate-local';
GRANT SELECT ON crm.* TO 'wasmgate'@'%';
GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'wasmgate'@'%';

INSERT INTO customer_profiles
    (customer_id, customer_name, age, gender, location, account_creation_date, plan_type,
     monthly_spending, credit_score, avg_payment_delay) VALUES
    ('CUST001', 'Ada', 36, 'f', 'Cairo', '2021-03-14', 'Premium', 180.50, 720, 2),
    ('CUST002', 'Mallory', 29, 'm', 'Alexandria', '2024-11-02', 'Standard', 455.00, 540, 21);
INSERT INTO device_information (customer_id, device_model, os_version, imei, device_status) VALUES
    ('CUST001', 'Pixel 9', '15', '356938035643809', 'active'),
    ('CUST002', 'Galaxy A5', '9', '490154203237518', 'blacklisted');
